package pgdbm_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// slowCommit makes the commit of whoever inserts 'slow' wait on the server.
func slowCommit(t *testing.T, m *pgdbm.Manager) {
	t.Helper()
	exec(t, m, `create function {{schema}}.slow() returns trigger language plpgsql as
		$$begin if new.name = 'slow' then perform pg_sleep(61); end if; return null; end$$`)
	exec(t, m, `create constraint trigger slow after insert on {{tables.items}} deferrable initially deferred
		for each row execute function {{schema}}.slow()`)
}

// running waits until a session of the database is busy with sql.
func running(t *testing.T, m *pgdbm.Manager, sql string) {
	t.Helper()
	testkit.Eventually(t, "the server is not busy with "+sql, func() bool {
		n, err := pgdbm.FetchValue[int](t.Context(), m,
			"select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state = 'active' and query = $1", sql)
		return err == nil && n == 1
	})
}

func TestCommitWithoutAnswerIsUnknown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		what   fault
		ends   error // of the context
		stored []string
	}{
		"the request is lost":  {cutRequest, nil, []string{}},
		"the answer is lost":   {cutAnswer, nil, []string{"a"}},
		"deadline, no answer":  {freeze, context.DeadlineExceeded, []string{"a"}},
		"cancelled, no answer": {freeze, context.Canceled, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, w := setupWire(t)
			ctx, calls := t.Context(), 0
			hit := w.on("commit", c.what)
			if c.ends != nil {
				ctx = expire(t, hit, c.ends)
			}
			err := m.InTxWith(ctx, pgdbm.TxOptions{Attempts: 5}, func(tx *pgdbm.Tx) error {
				calls++
				return add(ctx, tx, "a")
			})
			e, _ := errors.AsType[*pgdbm.Error](err)
			if e == nil || !errors.Is(e.Class, pgdbm.ErrCommitUnknown) || c.ends != nil && !errors.Is(err, c.ends) {
				t.Errorf("got %v", err)
			}
			testkit.ErrorContains(t, err, "outcome of commit unknown", "read it back before repeating it")
			if calls != 1 {
				t.Errorf("ran %d times", calls)
			}
			modules := m.Pool().Metrics().Modules
			counted := modules[slices.IndexFunc(modules, func(m pgdbm.ModuleMetrics) bool { return m.Module == "app" })].Errors
			if counted["commit_unknown"] != 1 || counted["unavailable"]+counted["timeout"]+counted["canceled"] != 0 {
				t.Errorf("counted %v", counted)
			}
			close(w.thaw) // else pgx waits for 15 s before it gives up the connection
			testkit.Eventually(t, "not stored as expected", func() bool { return slices.Equal(names(t, m), c.stored) })
			whole(t, m)
		})
	}
}

func TestDeadlineWhileTheServerCommits(t *testing.T) {
	t.Parallel()
	m := setup(t)
	slowCommit(t, m)
	busy := make(chan struct{})
	ctx := expire(t, busy, context.DeadlineExceeded)
	go func() {
		defer close(busy)
		running(t, m, "commit")
	}()
	err := m.InTx(ctx, func(tx *pgdbm.Tx) error { return add(ctx, tx, "slow") })
	testkit.ErrorIs(t, err, pgdbm.ErrCommitUnknown)
	testkit.ErrorIs(t, err, context.DeadlineExceeded)
	whole(t, m)
}

// The server says that it ended the session, so it did not commit.
func TestSessionEndedAtCommit(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]func(*testing.T, *pgdbm.Manager){
		"before": func(*testing.T, *pgdbm.Manager) {},
		"during": func(t *testing.T, m *pgdbm.Manager) { t.Helper(); running(t, m, "commit") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := setup(t)
			slowCommit(t, m)
			ctx := t.Context()
			tx, err := m.Begin(ctx)
			testkit.NoError(t, err)
			pid, err := pgdbm.FetchValue[int](ctx, tx, insert+" returning pg_backend_pid()", "slow")
			testkit.NoError(t, err)
			end := func() {
				wait(t, m)
				exec(t, m, "select pg_terminate_backend($1)", pid)
				testkit.Eventually(t, "the session does not end", func() bool {
					n, err := pgdbm.FetchValue[int](ctx, m, "select count(*) from pg_stat_activity where pid = $1", pid)
					return err == nil && n == 0
				})
			}
			var wg sync.WaitGroup
			wg.Go(end)
			if name == "before" {
				wg.Wait()
			}
			err = tx.Commit(ctx)
			wg.Wait()
			if !errors.Is(err, pgdbm.ErrUnavailable) || errors.Is(err, pgdbm.ErrCommitUnknown) {
				t.Errorf("got %v", err)
			}
			if got := names(t, m); len(got) != 0 {
				t.Errorf("got %v", got)
			}
			whole(t, m)
		})
	}
}

func TestConnectionLostBeforeCommit(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*testing.T, *wire, pgx.Tx){
		"by the other end": func(t *testing.T, w *wire, tx pgx.Tx) {
			t.Helper()
			w.cut()
			testkit.Eventually(t, "the end of the connection is not seen", func() bool {
				return pgdbm.HungUp(tx.Conn().PgConn().Conn())
			})
		},
		"here": func(t *testing.T, _ *wire, tx pgx.Tx) {
			t.Helper()
			testkit.NoError(t, tx.Conn().PgConn().Conn().Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, w := setupWire(t)
			ctx, calls := t.Context(), 0
			err := m.InTxWith(ctx, pgdbm.TxOptions{Attempts: 2}, func(tx *pgdbm.Tx) error {
				calls++
				if err := add(ctx, tx, "a"); err != nil || calls > 1 {
					return err
				}
				raw, err := tx.Pgx(ctx)
				if err == nil {
					lose(t, w, raw)
				}
				return err
			})
			if err != nil || calls != 2 { // COMMIT was not sent, so it may run again
				t.Errorf("%d calls, %v", calls, err)
			}
			if got := names(t, m); !slices.Equal(got, []string{"a"}) {
				t.Errorf("got %v", got)
			}
			tx, err := m.Begin(ctx)
			testkit.NoError(t, err)
			raw, err := tx.Pgx(ctx)
			testkit.NoError(t, err)
			lose(t, w, raw)
			if err := tx.Commit(ctx); !errors.Is(err, pgdbm.ErrUnavailable) || errors.Is(err, pgdbm.ErrCommitUnknown) {
				t.Errorf("got %v", err)
			}
			whole(t, m)
		})
	}
}

func TestConstraintsThatFailAtCommit(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	exec(t, m, "create table {{tables.late}} (item bigint references {{tables.items}} deferrable initially deferred, n int unique deferrable initially deferred)")
	for sql, want := range map[string]pgdbm.Error{
		"insert into {{tables.late}} (item) values (99)": {Class: pgdbm.ErrReference, Constraint: "late_item_fkey"},
		"insert into {{tables.late}} (n) values (1),(1)": {Class: pgdbm.ErrConflict, Constraint: "late_n_key"},
	} {
		err := m.InTx(ctx, func(tx *pgdbm.Tx) error { return second(tx.Exec(ctx, sql)) })
		e, _ := errors.AsType[*pgdbm.Error](err)
		if e == nil || !errors.Is(e.Class, want.Class) || e.Schema != "app" || e.Table != "late" || e.Constraint != want.Constraint {
			t.Errorf("%s: %v", sql, err)
		}
	}
	whole(t, m)
}

// What no test can make a server or a pooler say at will.
func TestAnswersToCommit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  *pgconn.PgError
		want error
	}{
		"serialization failure":      {&pgconn.PgError{Severity: "ERROR", Code: "40001", Routine: "PreCommit_CheckForSerializationFailure"}, pgdbm.ErrRetryable},
		"the same, of another make":  {&pgconn.PgError{Severity: "ERROR", Code: "40001"}, pgdbm.ErrRetryable},
		"statement timeout":          {&pgconn.PgError{Severity: "ERROR", Code: "57014", Routine: "ProcessInterrupts"}, pgdbm.ErrTimeout},
		"ended by an administrator":  {&pgconn.PgError{Severity: "FATAL", Code: "57P01", Routine: "ProcessInterrupts"}, pgdbm.ErrUnavailable},
		"the same, by a pooler":      {&pgconn.PgError{Severity: "FATAL", Code: "57P01"}, pgdbm.ErrCommitUnknown},
		"idle in transaction":        {&pgconn.PgError{Severity: "FATAL", Code: "25P03", Routine: "ProcessInterrupts"}, pgdbm.ErrTimeout},
		"localized":                  {&pgconn.PgError{Severity: "FEHLER", SeverityUnlocalized: "ERROR", Code: "23503", Routine: "ri_ReportViolation"}, pgdbm.ErrReference},
		"pooler lost the server":     {&pgconn.PgError{Severity: "ERROR", Code: "08P01", Message: "server conn crashed?"}, pgdbm.ErrCommitUnknown},
		"a worker of Citus is away":  {&pgconn.PgError{Severity: "ERROR", Code: "08006", Routine: "ReportConnectionError"}, pgdbm.ErrUnavailable},
		"resolution unknown":         {&pgconn.PgError{Severity: "ERROR", Code: "08007", Routine: "x"}, pgdbm.ErrCommitUnknown},
		"completion unknown":         {&pgconn.PgError{Severity: "ERROR", Code: "40003", Routine: "x"}, pgdbm.ErrCommitUnknown},
		"the server crashes":         {&pgconn.PgError{Severity: "FATAL", Code: "57P02", Routine: "quickdie"}, pgdbm.ErrCommitUnknown},
		"the write-ahead log failed": {&pgconn.PgError{Severity: "PANIC", Code: "53100", Routine: "XLogWrite"}, pgdbm.ErrCommitUnknown},
	} {
		err := pgdbm.Committed(c.err, "app")
		if e, _ := errors.AsType[*pgdbm.Error](err); e == nil || !errors.Is(e.Class, c.want) || e.Schema != "app" {
			t.Errorf("%s: %v", name, err)
		}
	}
	testkit.NoError(t, pgdbm.Committed(nil, "app"))
}
