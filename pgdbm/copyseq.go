package pgdbm

import (
	"context"
	"iter"
	"runtime"
)

// CopySeq is [DB].CopyFrom with the rows of an iterator: as many as there are,
// none of them kept. It returns the number of rows that were stored, all or none.
//
//	n, err := pgdbm.CopySeq(ctx, db, "users", []string{"id", "email"}, func(yield func([]any, error) bool) {
//		for decoder.More() {
//			var u User
//			err := decoder.Decode(&u)
//			if !yield([]any{u.ID, u.Email}, err) {
//				return
//			}
//		}
//	})
//
// An error of the iterator ends the copy and comes back as it is; nothing is
// stored then, nor when ctx ends. A row may be reused for the next one.
//
// The iterator runs while the connection is held, so it should not wait for long,
// and not for ever: it is told that ctx has ended when it yields. Statements in it
// need another connection: they fail on the same [Tx].
//
// For rows in a slice there are pgx.CopyFromRows and pgx.CopyFromSlice.
func CopySeq(ctx context.Context, db DB, table string, columns []string, rows iter.Seq2[[]any, error]) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	source := &seqSource{ctx: ctx, exited: cancel}
	var stop func()
	source.next, stop = iter.Pull2(rows)
	defer stop()
	n, err := db.CopyFrom(ctx, table, columns, source)
	if source.exiting {
		runtime.Goexit() // as the iterator did
	}
	return n, err
}

// seqSource is a pgx.CopyFromSource, which pgx reads in a goroutine of its own.
type seqSource struct {
	ctx     context.Context
	next    func() ([]any, error, bool)
	values  []any
	err     error
	exiting bool
	exited  func() // without it pgx would wait for a goroutine that is gone
}

func (s *seqSource) Next() bool {
	if s.err = s.ctx.Err(); s.err != nil {
		return false
	}
	s.exiting = true
	defer func() {
		if p := recover(); p != nil {
			s.exiting = false
			panic(p)
		}
		if s.exiting {
			s.exited()
		}
	}()
	values, err, more := s.next()
	s.exiting = false
	s.values, s.err = values, err
	return more && err == nil
}

func (s *seqSource) Values() ([]any, error) { return s.values, nil }

func (s *seqSource) Err() error { return s.err }
