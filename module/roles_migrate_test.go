package module_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// queries is a tracer that keeps what was sent.
type queries struct {
	mu   sync.Mutex
	sent []string
}

func (q *queries) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	q.note(data.SQL)
	return ctx
}

func (q *queries) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (q *queries) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	q.note("batch")
	return ctx
}

func (q *queries) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (q *queries) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

func (q *queries) note(sql string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sent = append(q.sent, sql)
}

// take returns what was sent since the last call.
func (q *queries) take() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	sent := q.sent
	q.sent = nil
	return sent
}

func TestStartWithRolesAndNothingToDoIsTwoQueries(t *testing.T) {
	t.Parallel()
	q := &queries{}
	s := openShop(t, "creator", pgdbm.Config{Tracers: []pgx.QueryTracer{q}})
	q.take()
	_, err := s.set.Migrate(t.Context())
	testkit.NoError(t, err)
	if sent := q.take(); len(sent) != 2 {
		t.Errorf("%d: %q", len(sent), sent)
	}
	testkit.NoError(t, s.set.Verify(t.Context()))
}

// What later migrations create is granted at once, and what came from elsewhere
// with the next start.
func TestGrantsFollowTheSchemas(t *testing.T) {
	t.Parallel()
	s := openShop(t, "creator", pgdbm.Config{})
	login, err := s.pool.Manager("people")
	testkit.NoError(t, err)
	exec(t, login, "create table {{tables.later}} (id serial)")
	exec(t, s.people, "insert into {{tables.later}} default values")
	exec(t, s.sales, "select * from {{tables.people.later}}")
	testkit.ErrorIs(t, ways["Exec"](t.Context(), s.sales, "delete from {{tables.people.later}}"), pgdbm.ErrPermission)
	testkit.NoError(t, s.set.Verify(t.Context()))

	exec(t, login, fmt.Sprintf("revoke all on {{tables.later}} from %q, %q", s.people.Role(), s.sales.Role()))
	exec(t, login, fmt.Sprintf("grant insert on {{tables.pgdbm_migrations}} to %q", s.people.Role()))
	err = s.set.Verify(t.Context())
	testkit.ErrorIs(t, err, pgdbm.ErrPermission)
	testkit.ErrorContains(t, err, "module: roles: ", s.people.Role()+" lacks privileges in schema people",
		`grant select, insert, update, delete, truncate on all tables in schema "people" to "`+s.people.Role()+`";`,
		`grant select on all tables in schema "people" to "`+s.sales.Role()+`";`)
	_, err = s.set.Migrate(t.Context())
	testkit.NoError(t, err)
	testkit.NoError(t, s.set.Verify(t.Context()))
	exec(t, s.people, "insert into {{tables.later}} default values")
	testkit.ErrorIs(t, ways["Exec"](t.Context(), s.people, "insert into {{tables.pgdbm_migrations}} default values"), pgdbm.ErrPermission)
}

func TestLoginThatMayNotCreateRolesGetsTheSQL(t *testing.T) {
	t.Parallel()
	admin := testkit.ConnString(t)
	p := prefix(t, admin)
	pool := open(t, pgdbm.Config{ConnString: as(t, admin, p+"login", ""), ModuleRoles: p})
	s := &shop{pool: pool}
	s.bind(t)
	_, err := s.set.Migrate(t.Context())
	testkit.ErrorIs(t, err, pgdbm.ErrPermission)
	testkit.ErrorContains(t, err, "module: roles: ", "permission denied", fmt.Sprintf("create role \"%ssales\" nologin noinherit;", p))
	testkit.ErrorIs(t, s.set.Verify(t.Context()), pgdbm.ErrPermission)
	err = ways["Exec"](t.Context(), s.sales, "select 1")
	testkit.ErrorIs(t, err, pgdbm.ErrUndefined)
	testkit.ErrorContains(t, err, `it is the role of module "sales": module.Set.Migrate creates it`)
	err = ways["InTx"](t.Context(), s.sales, "select 1")
	testkit.ErrorIs(t, err, pgdbm.ErrUndefined)

	_, script, ok := strings.Cut(mustFail(t, s.set).Error(), "in this database:\n")
	if !ok {
		t.Fatal("no script")
	}
	dba, err := pgx.Connect(t.Context(), admin)
	testkit.NoError(t, err)
	defer func() { _ = dba.Close(context.WithoutCancel(t.Context())) }()
	_, err = dba.Exec(t.Context(), script)
	testkit.NoError(t, err)
	_, err = s.set.Migrate(t.Context()) // needs nothing any more
	testkit.NoError(t, err)
	testkit.NoError(t, s.set.Verify(t.Context()))
	testkit.Equal(t, who(t, s.sales), p+"sales")

	_, err = dba.Exec(t.Context(), fmt.Sprintf("revoke %q from %q", p+"sales", p+"login"))
	testkit.NoError(t, err)
	for _, way := range []string{"Exec", "InTx", "SendBatch"} {
		err = ways[way](t.Context(), s.sales, "select 1")
		testkit.ErrorIs(t, err, pgdbm.ErrPermission)
		testkit.ErrorContains(t, err, "must be a member of it")
	}
	testkit.ErrorContains(t, s.set.Verify(t.Context()), fmt.Sprintf("%ssales is not granted to %slogin", p, p))
}

func mustFail(t *testing.T, set *module.Set) error {
	t.Helper()
	_, err := set.Migrate(t.Context())
	if err == nil {
		t.Fatal("no error")
	}
	return err
}

// Processes that start at once make one set of roles, also in several databases
// of one server.
func TestProcessesThatStartAtOnceMakeOneSetOfRoles(t *testing.T) {
	t.Parallel()
	for _, login := range logins {
		first, second := testkit.ConnString(t), testkit.ConnString(t)
		p := prefix(t, first)
		t.Cleanup(func() { disown(t, second, p) })
		dsns := []string{first, second}
		if login == "creator" {
			dsns = []string{as(t, first, p+"login", "createrole"), onDatabase(t, second, p+"login")}
		}
		var wg sync.WaitGroup
		for i := range 24 {
			wg.Go(func() {
				if err := startOnce(t, pgdbm.Config{ConnString: dsns[i%2], ModuleRoles: p, MaxConns: 2}); err != nil {
					t.Errorf("%s: %v", login, err)
				}
			})
		}
		wg.Wait()
	}
}

// startOnce does what a process does that starts.
func startOnce(t *testing.T, cfg pgdbm.Config) error {
	t.Helper()
	pool, err := pgdbm.Open(t.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { _ = pool.Close(context.Background()) }()
	set, err := module.NewSet(pool, sales, billing)
	if err != nil {
		return err
	}
	if _, err = set.Migrate(t.Context()); err != nil {
		return err
	}
	return set.Verify(t.Context())
}

// disown takes from the roles what they have in a database.
func disown(t *testing.T, admin, prefix string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, admin)
	testkit.NoError(t, err)
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, "select rolname from pg_roles where starts_with(rolname, $1)", prefix)
	testkit.NoError(t, err)
	roles, err := pgx.CollectRows(rows, pgx.RowTo[string])
	testkit.NoError(t, err)
	for _, role := range roles {
		_, err = conn.Exec(ctx, fmt.Sprintf("drop owned by %q cascade", role))
		testkit.NoError(t, err)
	}
}

// A module without files needs its role, and no schema.
func TestRoleOfAModuleWithoutMigrations(t *testing.T) {
	t.Parallel()
	admin := testkit.ConnString(t)
	p := prefix(t, admin)
	empty := module.Module{Name: "empty", DependsOn: []module.Module{people}}
	set, err := module.NewSet(open(t, pgdbm.Config{ConnString: admin, ModuleRoles: p}), empty)
	testkit.NoError(t, err)
	_, err = set.Migrate(t.Context())
	testkit.NoError(t, err)
	m := manager(t, set, empty)
	testkit.Equal(t, who(t, m), p+"empty")
	exec(t, m, "select * from {{tables.people.people}}")
	testkit.NoError(t, m.EnsureSchema(t.Context()))
	_, err = set.Migrate(t.Context())
	testkit.NoError(t, err)
	testkit.NoError(t, set.Verify(t.Context()))
	testkit.ErrorIs(t, ways["Exec"](t.Context(), m, "create table {{tables.t}} ()"), pgdbm.ErrPermission)
}

// A role that was there before may be that of the login, or a superuser's: its
// module would not be restricted.
func TestRoleThatHasTheRightsOfTheLogin(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct{ login, other string }{
		"the login":   {"sales", ""},
		"a member":    {"login", "create role %[1]speople in role %[1]slogin"},
		"a superuser": {"login", "create role %[1]sbilling superuser"},
	} {
		admin := testkit.ConnString(t)
		p := prefix(t, admin)
		dsn := as(t, admin, p+c.login, "createrole")
		if c.other != "" {
			dba, err := pgx.Connect(t.Context(), admin)
			testkit.NoError(t, err)
			_, err = dba.Exec(t.Context(), fmt.Sprintf(c.other, p))
			testkit.NoError(t, errors.Join(err, dba.Close(t.Context())))
		}
		s := &shop{pool: open(t, pgdbm.Config{ConnString: dsn, ModuleRoles: p})}
		s.bind(t)
		t.Log(what)
		for _, err := range []error{mustFail(t, s.set), s.set.Verify(t.Context())} {
			testkit.ErrorIs(t, err, pgdbm.ErrPermission)
			testkit.ErrorContains(t, err, "module: roles: ", fmt.Sprintf("has all rights of %q, which connects, so that its module would not be restricted: choose another Config.ModuleRoles", p+c.login))
		}
	}
}
