package pgdbm_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// rolePrefix returns the beginning of role names that no other test has.
func rolePrefix() string { return "r" + strings.ToLower(rand.Text()[:10]) + "_" }

// setupRole returns cfg with the address of a database with a table
// app.items(id, name, n), on which the role prefix + "app" of cfg.ModuleRoles may
// do everything, and on shop.items nothing.
func setupRole(t testing.TB, dsn string) pgdbm.Config {
	t.Helper()
	prefix := rolePrefix()
	admin := bind(t, open(t, pgdbm.Config{ConnString: dsn}), "")
	exec(t, admin, fmt.Sprintf(`create schema app; create schema shop; create role %[1]sapp; create role %[1]sshop;
		create table app.items (id bigint generated always as identity primary key, name text unique, n int check (n >= 0));
		create table shop.items (id int);
		grant usage on schema app to %[1]sapp; grant all on all tables in schema app to %[1]sapp; alter default privileges in schema app grant all on tables to %[1]sapp;
		grant usage on schema shop to %[1]sshop; grant all on all tables in schema shop to %[1]sshop`, prefix))
	t.Cleanup(func() {
		_, err := admin.Exec(context.Background(), fmt.Sprintf("drop owned by %[1]sapp, %[1]sshop cascade; drop role %[1]sapp, %[1]sshop", prefix))
		testkit.NoError(t, err)
	})
	return pgdbm.Config{ConnString: dsn, ModuleRoles: prefix}
}

// bindRole returns the manager of a module whose schema is called as it is.
func bindRole(t testing.TB, pool *pgdbm.Pool, module string) *pgdbm.Manager {
	t.Helper()
	m, err := pool.Bind(pgdbm.Binding{Module: module, Schema: module, Modules: map[string]string{}})
	testkit.NoError(t, err)
	return m
}

func currentUser(t testing.TB, db pgdbm.DB) string {
	t.Helper()
	user, err := pgdbm.FetchValue[string](t.Context(), db, "select current_user::text")
	testkit.NoError(t, err)
	return user
}

func TestModuleRolesAreChecked(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]string{
		"no-name":                `pgdbm: config: ModuleRoles is "no-name": use a letter or _ followed by letters, digits or _`,
		"pg_x":                   `pgdbm: config: ModuleRoles is "pg_x": names that begin with pg_ belong to PostgreSQL`,
		strings.Repeat("x", 100): "ModuleRoles is",
	} {
		_, err := pgdbm.New(pgdbm.Config{Host: "localhost", ModuleRoles: prefix})
		testkit.ErrorContains(t, err, want)
	}
	pool, err := pgdbm.New(pgdbm.Config{Host: "localhost", ModuleRoles: "my_application_"})
	testkit.NoError(t, err)
	defer func() { _ = pool.Close(context.Background()) }()
	_, err = pool.Bind(pgdbm.Binding{Module: "users"})
	testkit.ErrorContains(t, err, `pgdbm: module "users": with Config.ModuleRoles a module needs a schema`)
	long := strings.Repeat("s", 49)
	_, err = pool.Bind(pgdbm.Binding{Module: "users", Schema: long})
	testkit.ErrorContains(t, err, `pgdbm: module "users": its role "my_application_`+long+`" is longer than 63 bytes: shorten Config.ModuleRoles or the schema`)
	m, err := pool.Bind(pgdbm.Binding{Module: "users", Schema: long[1:]})
	testkit.NoError(t, err)
	testkit.Equal(t, m.Role(), "my_application_"+long[1:])
	for _, schema := range []string{"", "users"} { // of no module
		m, err := pool.Manager(schema)
		testkit.NoError(t, err)
		testkit.Equal(t, m.Role(), "")
	}
}

// The role is sent in the round trip of the statement, and of BEGIN.
func TestRoleCostsNoRoundTrip(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]string{"": "", "exec": "exec", "simple": "simple_protocol", "describe": "cache_describe", "describe exec": "describe_exec"} {
		trips := &roundTrips{}
		cfg := setupRole(t, testkit.ConnString(t))
		if mode != "" {
			cfg.ConnString = withParam(cfg.ConnString, "default_query_exec_mode", mode)
		}
		cfg.MaxConns, cfg.Tracers = 1, []pgx.QueryTracer{trips}
		pool := open(t, cfg)
		app, shop := bindRole(t, pool, "app"), bindRole(t, pool, "shop")
		ctx := t.Context()
		for what, way := range ways {
			trips.reset()
			testkit.NoError(t, way(ctx, app, "select name from {{tables.items}} union select $1::text", []any{"x"}))
			if got := trips.list(); !slices.Equal(got, []string{"batch"}) {
				t.Errorf("%s, %s: %v", name, what, got)
			}
		}
		const ours, theirs = "select count(*) from app.items", "select count(*) from shop.items"
		trips.reset()
		testkit.NoError(t, app.InTx(ctx, func(tx *pgdbm.Tx) error {
			return errors.Join(second(tx.Exec(ctx, ours)), second(tx.Exec(ctx, ours)), second(shop.In(tx).Exec(ctx, theirs)),
				second(shop.In(tx).Exec(ctx, theirs)), second(tx.Exec(ctx, ours)))
		}))
		want := []string{
			"batch", ours, `set local role "` + shop.Role() + `"`, theirs, theirs, `set local role "` + app.Role() + `"`, ours, "commit",
		}
		if got := trips.list(); !slices.Equal(got, want) {
			t.Errorf("%s: a transaction: %v", name, got)
		}
		testkit.Equal(t, currentUser(t, app), app.Role())
	}
}

func TestRoleIsNobodysStatement(t *testing.T) {
	t.Parallel()
	log := &logBuffer{}
	cfg := setupRole(t, testkit.ConnString(t))
	cfg.Logger, cfg.SlowQuery = log.logger(), time.Nanosecond
	pool := open(t, cfg)
	app, shop := bindRole(t, pool, "app"), bindRole(t, pool, "shop")
	ctx := t.Context()
	const one = "select name from app.items where id = $1"
	exec(t, app, one, 1)
	m := counted(t, pool, "app")
	testkit.Equal(t, m.Statements, 1)
	testkit.Equal(t, m.Rows, 0)
	testkit.Equal(t, m.Committed+m.RolledBack, 0)
	testkit.NoError(t, app.InTx(ctx, func(tx *pgdbm.Tx) error {
		return errors.Join(second(tx.Exec(ctx, one, 1)), second(shop.In(tx).Exec(ctx, "select 1")), second(tx.Exec(ctx, one, 1)))
	}))
	testkit.Equal(t, counted(t, pool, "app").Statements, 1+1+2+1) // BEGIN and COMMIT
	testkit.Equal(t, counted(t, pool, "shop").Statements, 1)
	raw, err := pool.Pgx().Begin(ctx)
	testkit.NoError(t, err)
	exec(t, app.Adopt(raw), one, 1)
	testkit.NoError(t, raw.Rollback(ctx))
	testkit.Equal(t, counted(t, pool, "app").Statements, 1+1+2+1+1)
	testkit.ErrorIs(t, second(app.Exec(ctx, "select 1 from shop.items")), pgdbm.ErrPermission)

	for _, s := range pool.Metrics().Recent {
		if strings.Contains(s.SQL, "role") {
			t.Errorf("%+v", s)
		}
	}
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "slow query") && strings.Contains(line, "role") {
			t.Error(line)
		}
	}
	if !strings.Contains(log.String(), `sql="`+one+`"`) {
		t.Errorf("log: %s", log)
	}
}

func TestStatementsUnderARoleSurviveAMigration(t *testing.T) {
	t.Parallel()
	cfg := setupRole(t, testkit.ConnString(t))
	cfg.MaxConns = 2
	pool := open(t, cfg)
	app, admin := bindRole(t, pool, "app"), bind(t, pool, "app")
	ctx := t.Context()
	for what, fn := range map[string]func() error{
		"Query":     func() error { return second(pgdbm.FetchAll[map[string]any](ctx, app, everything, 0)) },
		"Exec":      func() error { return second(app.Exec(ctx, everything, 0)) },
		"rows left": func() error { rows, err := app.Query(ctx, everything, 0); rows.Close(); return first(err, rows.Err()) },
	} {
		for range 12 {
			testkit.NoError(t, fn())
		}
		exec(t, admin, fmt.Sprintf("alter table {{tables.items}} add column c%d int", len(what)))
		for range 12 {
			if err := fn(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

func TestLostConnectionsUnderARole(t *testing.T) {
	t.Parallel()
	cfg := setupRole(t, testkit.ConnString(t))
	w := newWire(t, cfg.ConnString)
	through := w.config()
	through.ModuleRoles = cfg.ModuleRoles
	app := bindRole(t, open(t, through), "app")
	ctx := t.Context()
	for what, way := range ways {
		before, err := pgdbm.FetchValue[int](ctx, app, "select count(*) from {{tables.items}}")
		testkit.NoError(t, err)
		w.on("/* lost */", cutAnswer)
		err = way(ctx, app, "insert into {{tables.items}} (n) values ($1) returning n /* lost */", []any{1})
		testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
		after, err := pgdbm.FetchValue[int](ctx, app, "select count(*) from {{tables.items}}")
		testkit.NoError(t, err)
		if after > before+1 {
			t.Errorf("%s: executed %d times", what, after-before)
		}
	}
	testkit.Equal(t, currentUser(t, app), app.Role())
}

func TestOtherErrorsUnderARole(t *testing.T) {
	t.Parallel()
	pool := open(t, setupRole(t, testkit.ConnString(t)))
	app := bindRole(t, pool, "app")
	ctx := t.Context()
	exec(t, app, "insert into {{tables.items}} (name) values ('taken')")
	for what, way := range ways {
		testkit.ErrorIs(t, way(ctx, app, "insert into {{tables.items}} (name) values ($1) returning id", []any{"taken"}), pgdbm.ErrConflict)
		testkit.ErrorIs(t, way(ctx, app, "select name from {{tables.missing}} where id = $1", []any{1}), pgdbm.ErrUndefined)
		testkit.ErrorIs(t, way(ctx, app, "select name from {{tables.items}} where id = $1", []any{"no number"}), pgdbm.ErrInvalid)
		testkit.ErrorIs(t, way(ctx, app, "select name from {{tables.items}} where n = $1", []any{int64(1) << 40}), pgdbm.ErrInvalid) // cannot be encoded
		testkit.NoError(t, way(ctx, app, "select name from {{tables.items}} where name = $1", []any{"taken"}))
		err := way(ctx, app, "vacuum {{tables.items}}", nil)
		if err == nil || !strings.Contains(err.Error(), "run this one in a no-transaction migration, or through a manager of no module") && !strings.Contains(what, "atch") && what != "ExecMany" {
			t.Errorf("%s: %v", what, err)
		}
	}
	testkit.ErrorIs(t, app.QueryRow(ctx, "select name from {{tables.items}} where id = 0").Scan(new(string)), pgdbm.ErrNotFound)
	exec(t, bind(t, pool, "app"), "vacuum {{tables.items}}")
	exec(t, app, "")
	testkit.NoError(t, app.SendBatch(ctx, &pgx.Batch{}).Close())

	// A constraint that is checked at the end.
	exec(t, bind(t, pool, "app"), "create table {{tables.late}} (id int primary key deferrable initially deferred)")
	exec(t, app, "insert into {{tables.late}} values (1)")
	for what, way := range ways {
		err := way(ctx, app, "insert into {{tables.late}} values ($1) returning id", []any{1})
		if what != "BatchResults.Exec" && what != "BatchResults.Query" && what != "BatchResults.QueryRow" && !errors.Is(err, pgdbm.ErrConflict) { // Close tells
			t.Errorf("%s: %v", what, err)
		}
	}
	testkit.Eventually(t, "a connection is not given back", func() bool { return pool.Stat().AcquiredConns() == 0 }) // pgx gives closed ones back in the background

	// The role is no query: a transaction can still be told what it is.
	testkit.NoError(t, app.InTx(ctx, func(tx *pgdbm.Tx) error {
		exec(t, tx, "set transaction isolation level serializable")
		testkit.Equal(t, currentUser(t, tx), app.Role())
		return nil
	}))
	testkit.NoError(t, app.InTxWith(ctx, pgdbm.TxOptions{Isolation: pgx.RepeatableRead, SearchPath: true}, func(tx *pgdbm.Tx) error {
		exec(t, tx, "select name from items where id = $1", 1)
		testkit.Equal(t, currentUser(t, tx), app.Role())
		return nil
	}))

	// What only the login may see or do.
	testkit.NoError(t, app.EnsureSchema(ctx))
	testkit.NoError(t, second(app.SchemaStat(ctx)))
	testkit.NoError(t, second(app.Token(ctx)))
	testkit.NoError(t, second(pgdbm.Explain(ctx, app, "select * from {{tables.items}} where id = $1", 1)))
	testkit.NoError(t, second(pgdbm.ExplainAnalyze(ctx, app, "delete from {{tables.items}}")))
	testkit.NoError(t, pgdbm.Notify(ctx, app, "changed", "1"))
	exists, err := app.TableExists(ctx, "items")
	testkit.NoError(t, err)
	testkit.Equal(t, exists, true)
}

func TestRolesOnABorrowedPool(t *testing.T) {
	t.Parallel()
	cfg := setupRole(t, testkit.ConnString(t))
	raw, err := pgxpool.New(t.Context(), cfg.ConnString)
	testkit.NoError(t, err)
	defer raw.Close()
	pool, err := pgdbm.Borrow(raw, pgdbm.Config{ModuleRoles: cfg.ModuleRoles})
	testkit.NoError(t, err)
	app := bindRole(t, pool, "app")
	testkit.Equal(t, currentUser(t, app), cfg.ModuleRoles+"app")
	testkit.ErrorIs(t, second(app.Exec(t.Context(), "select 1 from shop.items")), pgdbm.ErrPermission)
	testkit.ErrorContains(t, second(app.Exec(t.Context(), "select 1 from shop.items")), `works as role "`+app.Role()+`"`)
	bindRole(t, pool, "shop") // now it is known whose that is
	testkit.ErrorContains(t, second(app.Exec(t.Context(), "select 1 from shop.items")), `module "app" does not depend on "shop"`)
	_, err = pgdbm.Borrow(raw, pgdbm.Config{ModuleRoles: "-"})
	testkit.ErrorContains(t, err, "ModuleRoles")
}

func TestRolesOnAReplica(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	cfg := setupRole(t, c.Primary.ConnString())
	cfg.ReplicaConnString = c.Standby.ConnString()
	pool := open(t, cfg)
	app := bindRole(t, pool, "app")
	ctx := t.Context()
	created, err := app.Token(ctx)
	testkit.NoError(t, err)
	onStandby(t, app, created)
	reads := func(where string) {
		t.Helper()
		testkit.Eventually(t, "not on the "+where, func() bool {
			db := app.Replica(created)
			got, err := pgdbm.FetchValue[string](ctx, db, "select ("+whoAnswers+") || ' ' || current_user")
			testkit.NoError(t, err)
			return got == where+" "+app.Role()
		})
		for what, way := range ways {
			if err := way(ctx, app.Replica(created), "select id::text from {{tables.items}} union select $1", []any{"x"}); err != nil {
				t.Errorf("%s, %s: %v", where, what, err)
			}
			if err := way(ctx, app.Replica(created), "select id from shop.items where id = $1", []any{1}); !errors.Is(err, pgdbm.ErrPermission) {
				t.Errorf("%s, %s: %v", where, what, err)
			}
			if err := way(ctx, app.Replica(created), "insert into {{tables.items}} (n) values ($1) returning n", []any{1}); !errors.Is(err, pgdbm.ErrReadOnly) {
				t.Errorf("%s, %s: %v", where, what, err)
			}
		}
		testkit.NoError(t, app.Replica(created).InTx(ctx, func(tx *pgdbm.Tx) error {
			testkit.Equal(t, currentUser(t, tx), app.Role())
			return nil
		}))
	}
	reads("standby")
	c.SetSynchronous(t, false)
	c.Standby.Kill(t)
	reads("primary")
}

// A mode of the manager's own goes with its role.
func TestRoleAndModeOfAManager(t *testing.T) {
	t.Parallel()
	cfg := setupRole(t, testkit.ConnString(t))
	cfg.MaxConns = 1
	pool := open(t, cfg)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeCacheDescribe} {
		app, err := pool.Bind(pgdbm.Binding{Module: "app", Schema: "app", ExecMode: mode})
		testkit.NoError(t, err)
		shop := bindRole(t, pool, "shop")
		for what, way := range ways {
			if err := way(t.Context(), app, "select name from {{tables.items}} union select $1::text", []any{"x"}); err != nil {
				t.Errorf("%s, %s: %v", mode, what, err)
			}
			if err := way(t.Context(), app, "select id from shop.items where id = $1", []any{1}); !errors.Is(err, pgdbm.ErrPermission) {
				t.Errorf("%s, %s: %v", mode, what, err)
			}
		}
		testkit.NoError(t, app.InTx(t.Context(), func(tx *pgdbm.Tx) error {
			testkit.Equal(t, currentUser(t, tx), app.Role())
			testkit.Equal(t, currentUser(t, shop.In(tx)), shop.Role())
			exec(t, shop.In(tx), "select id from {{tables.items}} where id = $1", 1)
			exec(t, tx, "select id from {{tables.items}} where id = $1", 1)
			return nil
		}))
	}
}
