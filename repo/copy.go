package repo

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"runtime"
	"time"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Copy stores new rows by the COPY protocol, all or none, and returns their number.
// It is the fastest way for rows that need not be read back, keeps none of them,
// and takes as many as there are:
//
//	n, err := users.Copy(ctx, slices.Values(rows))
//
// As with [Repository.Insert], version starts at 1 and touch is now(). Columns tagged
// auto are sent if they are set in the first row, and must then be set in all of
// them; if not, in none. A row that is there already is [pgdbm.ErrConflict].
//
// Rows that a trigger discards are not noticed: the number is that of the others.
//
// The iterator runs while the connection is held, and up to 32 rows ahead of it:
// statements in it need another one, and fail on the same [pgdbm.Tx]. Arrays of a type
// of the schema's own, such as an enum, have no place in COPY; [Repository.InsertAll]
// takes them.
func (r *Repository[T]) Copy(ctx context.Context, rows iter.Seq[T]) (int64, error) {
	next, stop := pull(rows)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &copying[T]{ctx: ctx, next: next, first: true, exited: cancel}
	var more bool
	if c.of, more = next(); !more {
		return 0, nil
	}
	if err := r.prepare(c); err != nil {
		return 0, r.t.wrap(err)
	}
	n, err := r.db.CopyFrom(ctx, r.t.name, c.columns, c)
	if c.exiting {
		runtime.Goexit() // as the iterator did
	}
	return n, r.t.wrap(err)
}

// ahead is how many rows are pulled at once: each pull switches goroutines.
const ahead = 32

// pull is [iter.Pull] that runs some rows ahead.
func pull[T any](rows iter.Seq[T]) (next func() (T, bool), stop func()) {
	some, stop := iter.Pull(func(yield func([]T) bool) {
		batch := make([]T, 0, ahead)
		for row := range rows {
			if batch = append(batch, row); len(batch) == ahead {
				if !yield(batch) {
					return
				}
				batch = batch[:0]
			}
		}
		yield(batch)
	})
	var batch []T
	next = func() (row T, ok bool) {
		for len(batch) == 0 {
			if batch, ok = some(); !ok {
				return row, false
			}
		}
		row, batch = batch[0], batch[1:]
		return row, true
	}
	return next, stop
}

// copying is the source of a COPY, which pgx reads in a goroutine of its own.
type copying[T any] struct {
	ctx     context.Context
	next    func() (T, bool)
	first   bool // row is the first one, and has not been sent
	of      T    // the row
	n       int  // of the rows before it
	err     error
	exiting bool
	exited  func() // without it pgx would wait for a goroutine that is gone

	fields  []*field
	columns []string
	left    []*field // to the database
	values  []any
	now     time.Time
}

func (r *Repository[T]) prepare(c *copying[T]) (err error) {
	row := reflect.ValueOf(&c.of).Elem()
	for _, f := range r.t.meta.fields {
		if f.left(row) {
			if f.opts.has(optAuto) {
				c.left = append(c.left, f)
			}
			continue
		}
		c.fields, c.columns = append(c.fields, f), append(c.columns, f.name)
	}
	if len(c.fields) == 0 {
		return fmt.Errorf("Copy: the rows have no column that is sent; use InsertAll")
	}
	c.values = make([]any, len(c.fields))
	if len(r.t.meta.touched) > 0 { // COPY takes no expressions
		c.now, err = pgdbm.FetchValue[time.Time](c.ctx, r.db, "select now()")
	}
	return err
}

// Next implements [pgx.CopyFromSource].
func (c *copying[T]) Next() bool {
	if c.first {
		c.first = false
		return true
	}
	if c.err = c.ctx.Err(); c.err != nil {
		return false
	}
	c.exiting = true
	defer func() {
		if p := recover(); p != nil {
			c.exiting = false
			panic(p)
		}
		if c.exiting {
			c.exited()
		}
	}()
	var more bool
	c.of, more = c.next()
	c.n++
	c.exiting = false
	return more
}

// Err implements [pgx.CopyFromSource].
func (c *copying[T]) Err() error { return c.err }

// Values returns the values of the row, in the same slice as those of the one
// before.
func (c *copying[T]) Values() ([]any, error) {
	row := reflect.ValueOf(&c.of).Elem()
	for _, f := range c.left {
		if !isZero(f.value(row)) {
			return nil, fmt.Errorf("Copy: row %d sets column %s, which the first row leaves to the database; set it in all rows or in none", c.n+1, f.name)
		}
	}
	for i, f := range c.fields {
		switch {
		case f.opts.has(optTouch):
			c.values[i] = c.now
			continue
		case f.opts.has(optAuto) && isZero(f.value(row)):
			return nil, fmt.Errorf("Copy: row %d leaves column %s to the database, which the first row sets; set it in all rows or in none", c.n+1, f.name)
		}
		var err error
		if c.values[i], err = f.initial(row); err != nil {
			return nil, err
		}
	}
	return c.values, nil
}
