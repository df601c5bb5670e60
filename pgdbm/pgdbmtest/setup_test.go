package pgdbmtest_test

import (
	"context"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

// Every kind of test is a TB.
var (
	_ pgdbmtest.TB = (*testing.T)(nil)
	_ pgdbmtest.TB = (*testing.B)(nil)
	_ pgdbmtest.TB = (*testing.F)(nil)
)

func files(pairs ...string) fs.FS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

var users = module.Module{Name: "users", Migrations: files(
	"1_users.sql", "create table {{tables.users}} (id bigint generated always as identity primary key, email text not null unique);",
)}

var orders = module.Module{Name: "orders", DependsOn: []module.Module{users}, Migrations: files(
	"1_orders.sql", "create table {{tables.orders}} (id bigserial primary key, owner bigint not null references {{tables.users.users}});",
)}

// store is a service as applications write them.
type store struct{ db pgdbm.DB }

func (s store) add(ctx context.Context, email string) (id int64, err error) {
	return pgdbm.FetchValue[int64](ctx, s.db, "insert into {{tables.users}} (email) values ($1) returning id", email)
}

func exec(t testing.TB, db pgdbm.DB, sql string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// fake is a test that a test looks at.
type fake struct {
	name string

	mu       sync.Mutex
	failed   bool
	skipped  bool
	log      []string
	cleanups []func()
}

// try runs fn as a test of its own does, with its Cleanup functions, in a
// goroutine of its own: Fatalf ends it.
func try(fn func(t *fake)) *fake {
	f := &fake{name: "TestFake"}
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn(f)
	}()
	<-done
	for _, cleanup := range slices.Backward(f.cleanups) {
		cleanup()
	}
	return f
}

func (f *fake) note(format string, args []any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, fmt.Sprintf(format, args...))
}

func (f *fake) output() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.log, "\n")
}

func (f *fake) Helper()                         {}
func (f *fake) Name() string                    { return f.name }
func (f *fake) Cleanup(fn func())               { f.cleanups = append(f.cleanups, fn) }
func (f *fake) Failed() bool                    { return f.failed }
func (f *fake) Logf(format string, args ...any) { f.note(format, args) }

func (f *fake) Errorf(format string, args ...any) {
	f.failed = true
	f.note(format, args)
}

func (f *fake) Fatalf(format string, args ...any) {
	f.failed = true
	f.note(format, args)
	runtime.Goexit()
}

func (f *fake) Skipf(format string, args ...any) {
	f.skipped = true
	f.note(format, args)
	runtime.Goexit()
}

// wantFatal checks that fn ends its test with a message that has all the parts.
func wantFatal(t *testing.T, fn func(t *fake), parts ...string) {
	t.Helper()
	f := try(fn)
	if !f.failed {
		t.Errorf("the test was not ended, want %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(f.output(), part) {
			t.Errorf("no %q in:\n%s", part, f.output())
		}
	}
}
