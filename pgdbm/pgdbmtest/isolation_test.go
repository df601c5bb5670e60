package pgdbmtest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

func TestFiftyParallelTestsEachSeeTheirOwnRows(t *testing.T) {
	t.Parallel()
	for i := range 50 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			s := store{pgdbmtest.New(t, pgdbmtest.WithModules(users))}
			for n := range 3 {
				id, err := s.add(t.Context(), fmt.Sprintf("%d@example.com", n))
				testkit.NoError(t, err)
				testkit.Equal(t, id, int64(n+1))
			}
			emails, err := pgdbm.FetchAll[string](t.Context(), s.db, "select email from {{tables.users}} order by id")
			testkit.NoError(t, err)
			testkit.Equal(t, emails, []string{"0@example.com", "1@example.com", "2@example.com"})
		})
	}
}

func TestEightTestsHoldTwoDatabasesEach(t *testing.T) {
	t.Parallel()
	var all, held sync.WaitGroup
	held.Add(8)
	for range 8 {
		all.Go(func() {
			f := try(func(f *fake) {
				released := false
				release := func() {
					if !released {
						released = true
						held.Done()
					}
				}
				defer release()
				factory := pgdbmtest.NewFactory(f, pgdbmtest.WithModules(users))
				one, two := factory.Create("one"), factory.Create("two", pgdbmtest.WithSchema("extra"))
				release()
				held.Wait() // until all of them hold both
				if one.Name() == two.Name() {
					f.Errorf("both are %s", one.Name())
				}
				if _, err := (store{one}).add(t.Context(), "ada@example.com"); err != nil {
					f.Errorf("%v", err)
				}
				if n := two.Count("users.users"); n != 0 {
					f.Errorf("the other database has %d rows", n)
				}
			})
			if f.failed {
				t.Error(f.output())
			}
		})
	}
	all.Wait()
}

func TestFactoryNamesAreGivenOnce(t *testing.T) {
	t.Parallel()
	wantFatal(t, func(f *fake) {
		factory := pgdbmtest.NewFactory(f)
		factory.Create("one")
		factory.Create("one")
	}, `pgdbmtest: Factory.Create: there is a database "one" already`, `pgdbmtest: "one" was database pgdbm_t_`)
}

func TestGoroutineThatOutlivesItsTestGetsErrors(t *testing.T) {
	t.Parallel()
	var s store
	var other *pgdbmtest.DB
	var pool *pgdbm.Pool
	f := try(func(f *fake) {
		db := pgdbmtest.New(f, pgdbmtest.WithModules(users))
		other, s = db.InSchema("users"), store{db}
		pool = db.Pool()
	})
	testkit.Equal(t, f.output(), "")
	_, err := s.add(t.Context(), "late@example.com")
	testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
	testkit.ErrorContains(t, err, "the pool is closed")
	testkit.ErrorIs(t, other.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		_, err := store{tx}.add(t.Context(), "late@example.com")
		return err
	}), pgdbm.ErrUnavailable)
	_, err = other.CopyFrom(t.Context(), "users", []string{"email"}, pgx.CopyFromRows([][]any{{"late@example.com"}}))
	testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
	testkit.ErrorIs(t, other.SendBatch(t.Context(), &pgx.Batch{}).Close(), pgdbm.ErrUnavailable)
	if _, err := pool.Pgx().Exec(t.Context(), "select 1"); err == nil {
		t.Error("the raw pool reaches a database")
	}
}

func TestWritersThatOutliveTheirTestReachNobodyElse(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for round := range 10 {
		try(func(f *fake) {
			s := store{pgdbmtest.New(f, pgdbmtest.WithModules(users), pgdbmtest.WithSetup("stray writers", func(context.Context, pgdbm.DB) error { return nil }))}
			for n := range 4 {
				writers.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						default:
						}
						if _, err := s.add(context.Background(), fmt.Sprintf("%d-%d-%d", round, n, i)); errors.Is(err, pgdbm.ErrUnavailable) {
							return
						}
					}
				})
			}
			strangers, err := pgdbm.FetchAll[string](t.Context(), s.db, "select email from {{tables.users}} where email not like $1", fmt.Sprintf("%d-%%", round))
			if err != nil || len(strangers) > 0 {
				t.Errorf("round %d: %v, %v", round, strangers, err)
			}
		})
	}
	close(stop)
	writers.Wait()
}

// What a test may leave behind, besides rows.
func TestNothingLeaksToTheNextTest(t *testing.T) {
	t.Parallel()
	// The tests of this function take turns, so that they get each other's databases.
	opts := []pgdbmtest.Option{
		pgdbmtest.WithModules(orders, users), pgdbmtest.WithSchema("users"),
		pgdbmtest.WithSetup("leak tests", func(context.Context, pgdbm.DB) error { return nil }),
	}
	pristine := func(after string) {
		t.Helper()
		f := try(func(f *fake) {
			db := pgdbmtest.New(f, opts...)
			for sql, want := range map[string]string{
				"select string_agg(relname, ' ' order by relname) from pg_class where relkind in ('r', 'v') and relnamespace::regnamespace::text in ('users', 'public')": "pgdbm_migrations users",
				"select count(*)::text from pg_class where relnamespace = pg_my_temp_schema()":                                                                           "0",
				"select count(*)::text from pg_largeobject_metadata":                                                                                                     "0",
				"select count(*)::text from {{tables.users}}":                                                                                                            "0",
				"select (select last_value || is_called::text from users.users_id_seq)":                                                                                  "1false",
				"select current_setting('work_mem') || ' ' || current_setting('search_path')":                                                                            "4MB \"$user\", public",
				"select count(*)::text from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())":        "0",
				"select coalesce(relacl::text, 'own') || coalesce(obj_description(oid, 'pg_class'), '') from pg_class where oid = 'users.users'::regclass":               "own",
				"select string_agg(attname, ' ' order by attnum) from pg_attribute where attrelid = 'users.users'::regclass and attnum > 0":                              "id email",
				"select count(*)::text from pg_proc where oid >= 16384":                                                                                                  "0",
				"select count(*)::text from pg_index where indrelid = 'users.users'::regclass":                                                                           "2",
				"select string_agg(extname, ' ') from pg_extension":                                                                                                      "plpgsql",
				"select count(*)::text from pg_prepared_xacts where database = current_database()":                                                                       "0",
				"select count(*)::text from pg_listening_channels()":                                                                                                     "0",
				"select count(*)::text from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase where d.datname = current_database()":                       "0",
				"select current_user::text = session_user::text || ''":                                                                                                   "true",
			} {
				got, err := pgdbm.FetchValue[any](t.Context(), db, sql)
				if err != nil || fmt.Sprint(got) != want {
					f.Errorf("after %q: %s: %v, %v; want %s", after, sql, got, err, want)
				}
			}
		})
		if f.failed {
			t.Error(f.output())
		}
	}
	for _, sql := range []string{
		"insert into users.users (email) values ('a'), ('b')",
		"insert into users.users (email) values ('a'); truncate users.users cascade",
		"select setval('users.users_id_seq', 77)",
		"begin; insert into users.users (email) values ('a'); rollback",
		"create table users.more (id int)",
		"begin; create table users.more (id int); rollback",
		"create table public.more (id int); drop table users.users cascade",
		"create temp table users (id int); create temp view v as select 1",
		"alter table users.users add name text",
		"create index on users.users (lower(email))",
		"create function f() returns int language sql as 'select 1'",
		"select lo_create(0)",
		"grant select on users.users to public",
		"comment on table users.users is 'changed'",
		"set work_mem = '9MB'; set search_path = users",
		"select set_config('role', 'pg_monitor', false)",
		"select pg_advisory_lock(4711)",
		"listen news",
		"do $$ begin execute format('alter database %I set work_mem = ''9MB''', current_database()); end $$",
		"prepare leak as select 1; declare c cursor with hold for select 1",
		`do $$ declare e text := (select name from pg_available_extensions where name in ('pg_trgm', 'citext', 'hstore') limit 1);
			begin execute 'create schema more'; if e is not null then execute 'create extension ' || e; end if; end $$`,
		"begin; insert into users.users (email) values ('open')",
		"begin; insert into users.users (email) values ('prepared'); prepare transaction '<database>'",
	} {
		f := try(func(f *fake) {
			db := pgdbmtest.New(f, opts...)
			sql := strings.ReplaceAll(sql, "<database>", db.Name()) // names of transactions are the server's
			_, err := db.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
			if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "55000" && strings.Contains(sql, "prepare transaction") {
				return // the server is not set up for them
			}
			if err != nil {
				f.Errorf("%s: %v", sql, err)
			}
		})
		if f.failed {
			t.Error(f.output())
		}
		pristine(sql)
	}
}

func TestLeakedConnectionIsReported(t *testing.T) {
	t.Parallel()
	var release func()
	f := try(func(f *fake) {
		db := pgdbmtest.New(f, pgdbmtest.WithModules(users))
		conn, err := db.Acquire(t.Context())
		if err != nil {
			f.Fatalf("%v", err)
		}
		release = conn.Release
		_, _ = conn.Exec(t.Context(), "select 'who left me open'")
	})
	defer release()
	for _, part := range []string{"1 connections", "still open", "who left me open"} {
		if !strings.Contains(f.output(), part) {
			t.Errorf("no %q in:\n%s", part, f.output())
		}
	}
	testkit.Equal(t, pgdbmtest.New(t, pgdbmtest.WithModules(users)).Count("users"), 0)
}

func TestFailingMigrationThenFixed(t *testing.T) {
	t.Parallel()
	m := users
	m.Migrations = files("1_users.sql", "create table {{tables.users}} (id int);\nselect nonsense;\n")
	for range 2 { // the second is told at once
		wantFatal(t, func(f *fake) { pgdbmtest.NewSet(f, m) }, "users", "1_users.sql", ":2:", "nonsense")
	}
	m.Migrations = files("1_users.sql", "create table {{tables.users}} (id int);\nselect 1;\n")
	testkit.Equal(t, pgdbmtest.NewSet(t, m).DB(m).Count("users"), 0)
}

func TestNamesOfTestsDoNotMatter(t *testing.T) {
	t.Parallel()
	for _, name := range []string{strings.Repeat("long ", 40), "a/b/../c", "Grüße, 世界 'quoted' \"twice\" %d", "; drop database postgres; --", ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgdbmtest.New(t)
			testkit.Equal(t, pgdbmtest.NewFactory(t).Create(name).Count("pg_catalog.pg_namespace") > 0, true)
			execute(t, db, "select 1")
		})
	}
}
