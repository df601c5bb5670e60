package pgdbm_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

var nameN = []string{"name", "n"}

// rowsThen yields n rows, all in one slice, and then an error if there is one.
func rowsThen(n int, err error) iter.Seq2[[]any, error] {
	row := make([]any, 2)
	return func(yield func([]any, error) bool) {
		for i := range n {
			if row[1] = i; !yield(row, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func TestCopySeq(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{MaxConns: 1}), "Order")
	exec(t, m, `create table {{tables.select}} (name text, n int, "The End" text)`)
	everywhere(t, m, func(db pgdbm.DB) {
		before, err := pgdbm.FetchValue[int](t.Context(), db, "select count(*) from {{tables.select}}")
		testkit.NoError(t, err)
		n, err := pgdbm.CopySeq(t.Context(), db, "select", nameN, rowsThen(10_000, nil))
		if err != nil || n != 10_000 {
			t.Errorf("%d, %v", n, err)
		}
		n, err = pgdbm.CopySeq(t.Context(), db, "select", []string{"The End"}, func(yield func([]any, error) bool) {
			yield([]any{"x"}, nil)
		})
		if err != nil || n != 1 {
			t.Errorf("%d, %v", n, err)
		}
		n, err = pgdbm.CopySeq(t.Context(), db, "select", nameN, rowsThen(0, nil))
		if err != nil || n != 0 {
			t.Errorf("no rows: %d, %v", n, err)
		}
		got, err := pgdbm.FetchOne[struct{ Count, Sum int }](t.Context(), db, "select count(*), sum(n) / 49995000 as sum from {{tables.select}}")
		if err != nil || got.Count != before+10_001 || got.Sum != got.Count/10_001 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestCopySeqErrors(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{MaxConns: 1}), "app")
	exec(t, m, "create table {{tables.items}} (name text, n int check (n >= 0))")
	boom := errors.New("boom")
	value := func(v any) iter.Seq2[[]any, error] {
		return func(yield func([]any, error) bool) {
			_ = yield([]any{nil, 1}, nil) && yield([]any{nil, v}, nil) && yield([]any{nil, 2}, nil)
		}
	}
	for _, c := range []struct {
		name    string
		table   string
		columns []string
		rows    iter.Seq2[[]any, error]
		is      error
		want    string
	}{
		{"of the iterator", "items", nameN, rowsThen(3, boom), boom, `pgdbm: copy "app"."items": the source of the rows: boom`},
		{"of the iterator, late", "items", nameN, rowsThen(50_000, boom), boom, "boom"},
		{"of the iterator, first", "items", nameN, rowsThen(0, boom), boom, "boom"},
		{"of a constraint", "items", nameN, value(-1), pgdbm.ErrInvalid, `violates check constraint`},
		{"of a type", "items", nameN, value([]string{"secret"}), pgdbm.ErrInvalid, "invalid value: a value cannot be encoded as int4"},
		{"of the number of values", "items", []string{"n"}, value(1), nil, "expected 1 values, got 2 values"},
		{"of the table", "nothing", nameN, value(1), pgdbm.ErrUndefined, `relation "app.nothing" does not exist (table app.nothing, SQLSTATE 42P01); was the module of schema app migrated?`},
		{"of a column", "items", []string{"nothing", "n"}, value(1), pgdbm.ErrUndefined, `column "nothing" does not exist`},
		{"of the table's name", "app.items", nameN, value(1), nil, `pgdbm: table "app.items": name an unqualified table of the bound schema`},
	} {
		for _, in := range []string{"manager", "transaction"} {
			err := m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
				db := pgdbm.DB(tx)
				if in == "manager" {
					db = m
				}
				n, err := pgdbm.CopySeq(t.Context(), db, c.table, c.columns, c.rows)
				if n != 0 {
					t.Errorf("%s, %s: %d rows", c.name, in, n)
				}
				return err
			})
			testkit.ErrorContains(t, err, c.want)
			if c.is != nil {
				testkit.ErrorIs(t, err, c.is)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%s, %s: the message holds a value: %v", c.name, in, err)
			}
			if n := countItems(t, m); n != 0 {
				t.Errorf("%s, %s: %d rows stayed", c.name, in, n)
			}
		}
	}
	whole(t, m)
}

// However the iterator ends, it runs in nobody else's life, and the connection is
// free.
func TestCopySeqEnds(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{MaxConns: 1}), "app")
	exec(t, m, "create table {{tables.items}} (name text, n int)")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	left := false
	n, err := pgdbm.CopySeq(ctx, m, "items", nameN, func(yield func([]any, error) bool) {
		defer func() { left = true }()
		for i := 0; yield([]any{nil, i}, nil); i++ {
			if i == 1000 {
				cancel()
			}
		}
	})
	if n != 0 || !errors.Is(err, context.Canceled) || !left {
		t.Errorf("cancelled: %d, %v, left %t", n, err, left)
	}

	left = false
	func() {
		defer func() {
			if err, ok := recover().(error); !ok || !strings.Contains(err.Error(), "stop") {
				t.Errorf("panic: %v", err)
			}
		}()
		_, _ = pgdbm.CopySeq(t.Context(), m, "items", nameN, func(yield func([]any, error) bool) {
			defer func() { left = true }()
			yield([]any{nil, 1}, nil)
			panic("stop")
		})
	}()
	if !left {
		t.Error("panic: the iterator goes on")
	}

	done, returned := make(chan struct{}), false
	go func() {
		defer close(done)
		_, _ = pgdbm.CopySeq(t.Context(), m, "items", nameN, func(yield func([]any, error) bool) {
			yield([]any{nil, 1}, nil)
			runtime.Goexit() // as t.Fatal does
		})
		returned = true
	}()
	if <-done; returned {
		t.Error("Goexit of the iterator ended nothing")
	}

	err = m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		_, err := pgdbm.CopySeq(t.Context(), tx, "items", nameN, func(yield func([]any, error) bool) {
			for v, err := range pgdbm.Each[int](t.Context(), tx, "select generate_series(1, 3)") {
				if !yield([]any{nil, v}, err) {
					return
				}
			}
		})
		return err
	})
	testkit.ErrorContains(t, err, "the Tx is in a CopyFrom, whose rows cannot come from the same Tx")
	if n := countItems(t, m); n != 0 {
		t.Errorf("%d rows stayed", n)
	}
	whole(t, m)
}
