package module_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// A shop: orders depends on people, and billing is none of its business.
var (
	people = module.Module{Name: "people", Migrations: sqlFile("1_people.sql",
		"create table {{tables.people}} (id int primary key, name text); insert into {{tables.people}} values (1, 'ann')")}
	sales = module.Module{Name: "sales", DependsOn: []module.Module{people}, Migrations: sqlFile("1_sales.sql",
		"create table {{tables.orders}} (id serial primary key, buyer int references {{tables.people.people}}, note text unique)")}
	billing = module.Module{Name: "billing", Migrations: sqlFile("1_billing.sql",
		"create table {{tables.invoices}} (id int); insert into {{tables.invoices}} values (7)")}
)

// shop is the set of the three, with roles of its own.
type shop struct {
	set                    *module.Set
	pool                   *pgdbm.Pool
	login                  string
	people, sales, billing *pgdbm.Manager
}

// logins are who may connect.
var logins = []string{"superuser", "creator"}

// prefix returns the beginning of role names that no other test has. The roles
// go with the test; admin is a superuser's address of the database.
func prefix(t testing.TB, admin string) string {
	t.Helper()
	p := "t" + strings.ToLower(rand.Text()[:10]) + "_"
	t.Cleanup(func() { dropRoles(t, admin, p) })
	return p
}

func dropRoles(t testing.TB, admin, prefix string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, admin)
	testkit.NoError(t, err)
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, "select rolname from pg_roles where starts_with(rolname, $1) order by 1 desc", prefix)
	testkit.NoError(t, err)
	roles, err := pgx.CollectRows(rows, pgx.RowTo[string])
	testkit.NoError(t, err)
	for _, role := range roles {
		_, err := conn.Exec(ctx, fmt.Sprintf("drop owned by %[1]q cascade", role))
		testkit.NoError(t, err)
	}
	for _, role := range roles {
		_, err := conn.Exec(ctx, fmt.Sprintf("drop role %[1]q", role))
		testkit.NoError(t, err)
	}
}

// as returns the address of a database for an ordinary role with these
// attributes, which is created.
func as(t testing.TB, admin, role, attributes string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), admin)
	testkit.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	_, err = conn.Exec(t.Context(), fmt.Sprintf("create role %q login password 'secret' %s", role, attributes))
	testkit.NoError(t, err)
	return onDatabase(t, admin, role)
}

// onDatabase returns the address of a database for that role, which may create
// schemas there.
func onDatabase(t testing.TB, admin, role string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), admin)
	testkit.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	_, err = conn.Exec(t.Context(), fmt.Sprintf("grant create on database %q to %q", conn.Config().Database, role))
	testkit.NoError(t, err)
	u, err := url.Parse(admin)
	testkit.NoError(t, err)
	u.User = url.UserPassword(role, "secret")
	return u.String()
}

// openShop opens the shop with roles, as the login of that kind.
func openShop(t testing.TB, kind string, cfg pgdbm.Config) *shop {
	t.Helper()
	admin := testkit.ConnString(t)
	p := prefix(t, admin)
	login := ""
	cfg.ConnString, cfg.ModuleRoles = admin, p
	if kind == "creator" {
		login = p + "login"
		cfg.ConnString = as(t, admin, login, "createrole")
	}
	s := &shop{pool: open(t, cfg), login: login}
	s.bind(t)
	_, err := s.set.Migrate(t.Context())
	testkit.NoError(t, err)
	return s
}

// open opens a pool that is closed with the test.
func open(t testing.TB, cfg pgdbm.Config) *pgdbm.Pool {
	t.Helper()
	pool, err := pgdbm.Open(t.Context(), cfg)
	testkit.NoError(t, err)
	t.Cleanup(func() { testkit.NoError(t, pool.Close(context.Background())) })
	return pool
}

// bind makes the set of s.
func (s *shop) bind(t testing.TB) {
	t.Helper()
	var err error
	s.set, err = module.NewSet(s.pool, sales, billing)
	testkit.NoError(t, err)
	s.people, s.sales, s.billing = manager(t, s.set, people), manager(t, s.set, sales), manager(t, s.set, billing)
}

func manager(t testing.TB, set *module.Set, m module.Module) *pgdbm.Manager {
	t.Helper()
	out, err := set.Manager(m)
	testkit.NoError(t, err)
	return out
}

// who returns the role that db's statements run as.
func who(t testing.TB, db pgdbm.DB) string {
	t.Helper()
	role, err := pgdbm.FetchValue[string](t.Context(), db, "select current_user::text")
	testkit.NoError(t, err)
	return role
}

// exec runs a statement that works.
func exec(t testing.TB, db pgdbm.DB, sql string, args ...any) {
	t.Helper()
	_, err := db.Exec(t.Context(), sql, args...)
	testkit.NoError(t, err)
}

// loggedIn fails the test unless every connection of the pool has the role of its
// login again.
func (s *shop) loggedIn(t testing.TB) {
	t.Helper()
	for range s.pool.Stat().MaxConns() {
		conn, err := s.sales.Acquire(t.Context())
		testkit.NoError(t, err)
		defer conn.Release()
		var role, session string
		testkit.NoError(t, conn.QueryRow(t.Context(), "select current_user, session_user").Scan(&role, &session))
		testkit.Equal(t, role, session)
	}
}
