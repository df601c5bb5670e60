package migrations

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// runGo calls a script's function, and then ends its transaction as
// runStatements does.
func (s *session) runGo(ctx context.Context, t *target, sc *script, pid, xact string, finish request) error {
	lock, timeout := s.m.timeouts(sc)
	if err := exec(ctx, s.conn, t.local(lock, timeout)); err != nil {
		return t.failFile(sc.file, err)
	}
	w := s.m.watchBlockers(ctx, Event{Module: t.Module, Schema: t.Schema, File: sc.file}, pid, lock)
	defer w.stop() // the function may end its goroutine
	err := s.call(ctx, t, sc)
	blockers := w.end()
	if err != nil {
		return t.failGo(sc, err, blockers)
	}
	requests, proof := s.ending(t, finish)
	got, _, err := pipeline(ctx, s.conn, requests, nil)
	switch {
	case err != nil:
		return t.failFile(sc.file, during("recording it", err))
	case s.conn.TxStatus() != 'T' || got[proof].rows[0][0] != xact:
		return t.failGo(sc, errEnded, nil)
	}
	return nil
}

var (
	errEnded    = fmt.Errorf("%w: the function ended the transaction that it ran in; what it did before may be stored", ErrTxControl)
	errLeftOpen = errors.New("it left rows, the results of a batch or a COPY open; close them before it returns")
)

// call calls a script's function in the transaction that is open. The
// transaction is whole when it returns nil.
func (s *session) call(ctx context.Context, t *target, sc *script) error {
	manager, err := s.m.pool.Bind(t.binding())
	if err != nil {
		return err
	}
	tx, err := s.pgx.BeginTx(ctx, pgx.TxOptions{BeginQuery: "select"}) // it has begun
	if err != nil {
		return pgdbm.Classify(err)
	}
	guard := &goTx{Tx: tx, over: &atomic.Bool{}}
	defer guard.over.Store(true)
	s.cached = true
	db := manager.Adopt(guard)
	if err := protect(func() error { return sc.fn(ctx, db) }); err != nil {
		return err
	}
	switch {
	case s.conn.IsBusy():
		return errLeftOpen
	case s.conn.TxStatus() == 'E':
		_, err := db.Exec(ctx, "select") // says why
		return err
	case s.conn.TxStatus() == 'I' && !s.conn.IsClosed():
		return errEnded
	}
	return nil
}

// binding is what the templates of the target's functions mean. It is of no
// module: what a module may do is not what migrating it takes.
func (t *target) binding() pgdbm.Binding {
	b := pgdbm.Binding{Schema: t.Schema, Modules: map[string]string{t.Module: t.Schema}}
	for name, dep := range t.deps {
		b.Modules[name] = dep.Schema
	}
	return b
}

// protect calls fn and makes its panic an error.
func protect(fn func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &panicError{value: value, stack: debug.Stack()}
		}
	}()
	return fn()
}

// panicError is a panic of a function.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n\n%s", e.value, e.stack) }

// goError is what a function returned.
type goError struct {
	declared string
	err      error
}

func (e *goError) Error() string { return "the function at " + e.declared + ": " + reason(e.err) }

func (e *goError) Unwrap() []error { return []error{e.err, pgdbm.Classify(e.err)} }

// failGo wraps the error of a script's function.
func (t *target) failGo(sc *script, err error, blockers []Session) *MigrationError {
	e := &MigrationError{
		Module: t.Module, Schema: t.Schema, File: sc.file, SQLState: sqlState(err), Err: &goError{declared: sc.declared, err: err},
	}
	if isLockFailure(err) {
		e.Blockers = blockers
	}
	return e
}
