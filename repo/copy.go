package repo

import (
	"context"
	"fmt"
	"iter"
	"reflect"
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
// The iterator runs while the connection is held: statements in it need another
// one, and fail on the same [pgdbm.Tx]. Arrays of a type of the schema's own, such
// as an enum, have no place in COPY; [Repository.InsertAll] takes them.
func (r *Repository[T]) Copy(ctx context.Context, rows iter.Seq[T]) (int64, error) {
	next, stop := iter.Pull(rows)
	defer stop()
	row, more := next()
	if !more {
		return 0, nil
	}
	c, err := r.newCopying(ctx, &row)
	if err != nil {
		return 0, r.t.wrap(err)
	}
	n, err := pgdbm.CopySeq(ctx, r.db, r.t.name, c.columns, func(yield func([]any, error) bool) {
		for more && yield(c.row(&row)) {
			row, more = next()
			c.n++
		}
	})
	return n, r.t.wrap(err)
}

// copying is what a COPY sends of a row.
type copying[T any] struct {
	fields  []*field
	columns []string
	left    []*field // to the database
	values  []any
	now     time.Time
	n       int // of the row
}

func (r *Repository[T]) newCopying(ctx context.Context, first *T) (*copying[T], error) {
	c := &copying[T]{}
	row := reflect.ValueOf(first).Elem()
	for _, f := range r.t.meta.fields {
		if f.opts.has(optAuto) && isZero(f.value(row)) {
			c.left = append(c.left, f)
			continue
		}
		c.fields, c.columns = append(c.fields, f), append(c.columns, f.name)
	}
	if len(c.fields) == 0 {
		return nil, fmt.Errorf("Copy: the rows have no column that is sent; use InsertAll")
	}
	c.values = make([]any, len(c.fields))
	if len(r.t.meta.touched) == 0 {
		return c, nil
	}
	var err error
	c.now, err = pgdbm.FetchValue[time.Time](ctx, r.db, "select now()") // COPY takes no expressions
	return c, err
}

// row returns the values of a row, in the same slice as those of the one before.
func (c *copying[T]) row(of *T) ([]any, error) {
	row := reflect.ValueOf(of).Elem()
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
