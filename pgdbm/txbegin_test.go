package pgdbm_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestFirstStatementFails(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	for name, sql := range map[string]string{
		"while it is prepared": "select * from {{tables.missing}}",
		"while it runs":        "select 1 / (select 0)",
	} {
		err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
			_, first := tx.Exec(ctx, sql)
			if first == nil {
				t.Errorf("%s: no error", name)
			}
			if err := add(ctx, tx, "a"); err == nil {
				t.Errorf("%s: the transaction goes on after an error", name)
			}
			return nil // as if nothing had happened
		})
		if !errors.Is(err, pgx.ErrTxCommitRollback) {
			t.Errorf("%s: commit: %v", name, err)
		}
	}
	if got := names(t, m); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	whole(t, m)
}

func TestEmptyTransactionTakesNoConnection(t *testing.T) {
	t.Parallel()
	m := setup(t)
	before := m.Stat().AcquireCount()
	for range 3 {
		if err := m.InTx(t.Context(), func(*pgdbm.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n := m.Stat().AcquireCount() - before; n != 0 {
		t.Errorf("%d connections acquired", n)
	}
}

func TestBeginTravelsWithTheFirstStatement(t *testing.T) {
	t.Parallel()
	trips := &roundTrips{}
	m := bind(t, open(t, pgdbm.Config{Tracers: []pgx.QueryTracer{trips}}), "")
	ctx := t.Context()
	run := func() {
		err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
			_, err := tx.Exec(ctx, "select 1")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	run() // prepares
	trips.reset()
	run()
	if got, want := trips.list(), []string{"batch", "commit"}; !slices.Equal(got, want) {
		t.Errorf("round trips: %v, want %v", got, want)
	}
}

func TestFirstStatementOfEveryKind(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	for name, first := range map[string]func(tx *pgdbm.Tx) error{
		"exec": func(tx *pgdbm.Tx) error { return add(ctx, tx, "exec") },
		"exec with options": func(tx *pgdbm.Tx) error {
			_, err := tx.Exec(ctx, insert, pgx.QueryExecModeExec, "exec with options")
			return err
		},
		"query": func(tx *pgdbm.Tx) error {
			_, err := pgdbm.FetchAll[int](ctx, tx, insert+" returning id", "query")
			return err
		},
		"query row": func(tx *pgdbm.Tx) error {
			var id int64
			return tx.QueryRow(ctx, insert+" returning id", "query row").Scan(&id)
		},
		"batch": func(tx *pgdbm.Tx) error {
			b := &pgx.Batch{}
			b.Queue(insert, "batch")
			return tx.SendBatch(ctx, b).Close()
		},
		"copy": func(tx *pgdbm.Tx) error {
			n, err := tx.CopyFrom(ctx, "items", []string{"name"}, pgx.CopyFromRows([][]any{{"copy"}}))
			if n != 1 {
				t.Errorf("copied %d rows", n)
			}
			return err
		},
		"savepoint": func(tx *pgdbm.Tx) error {
			return tx.InTx(ctx, func(tx *pgdbm.Tx) error { return add(ctx, tx, "savepoint") })
		},
		"pgx": func(tx *pgdbm.Tx) error {
			raw, err := tx.Pgx(ctx)
			if err != nil {
				return err
			}
			_, err = raw.Exec(ctx, "insert into app.items (name) values ('pgx')")
			return err
		},
	} {
		undo := errors.New("undo")
		err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
			if err := first(tx); err != nil {
				return err
			}
			if got := names(t, tx); !slices.Equal(got, []string{name}) {
				t.Errorf("%s: inside: %v", name, got)
			}
			return undo
		})
		if !errors.Is(err, undo) {
			t.Errorf("%s: %v", name, err)
		}
		if got := names(t, m); len(got) != 0 {
			t.Errorf("%s: not rolled back: %v", name, got)
		}
		if err := m.InTx(ctx, first); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := names(t, m); !slices.Equal(got, []string{name}) {
			t.Errorf("%s: committed: %v", name, got)
		}
		exec(t, m, "delete from {{tables.items}}")
	}
	whole(t, m)
}

func TestBatchInTransactionKeepsItsResults(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
		b := &pgx.Batch{}
		b.Queue(insert+" returning name", "a")
		b.Queue("select count(*) from {{tables.items}}")
		results := tx.SendBatch(ctx, b)
		var (
			name string
			n    int
		)
		err := errors.Join(results.QueryRow().Scan(&name), results.QueryRow().Scan(&n), results.Close())
		if name != "a" || n != 1 {
			t.Errorf("got %q, %d", name, n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
