package pgdbm

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// TxOptions say what kind of transaction [Manager.InTxWith] and
// [Manager.BeginWith] run. The zero value is what InTx runs: the server's default
// isolation (read committed), read-write, one attempt.
type TxOptions struct {
	// Isolation is the isolation level; "" is the server's default.
	Isolation pgx.TxIsoLevel

	// ReadOnly forbids writes: ErrReadOnly.
	ReadOnly bool

	// Deferrable lets a serializable read-only transaction wait until it can
	// run without ever being aborted. It needs both of the above.
	Deferrable bool

	// SearchPath sets search_path to the bound schema and public for this
	// transaction, for SQL that does not qualify its names. It is sent with BEGIN.
	SearchPath bool

	// Attempts bounds how often InTxWith runs its closure when it ends in
	// ErrRetryable (serialization failure, deadlock). 0 and 1 are no retry. The
	// pauses between attempts are random and grow from 10 ms to 1 s.
	Attempts int
}

// Pauses between the attempts of a transaction.
const (
	firstRetryPause = 10 * time.Millisecond
	maxRetryPause   = time.Second
)

func (o TxOptions) validate() error {
	if o.Deferrable && (o.Isolation != pgx.Serializable || !o.ReadOnly) {
		return errors.New("pgdbm: TxOptions.Deferrable needs Isolation serializable and ReadOnly")
	}
	return nil
}

func (o TxOptions) pgx() pgx.TxOptions {
	opts := pgx.TxOptions{IsoLevel: o.Isolation}
	if o.ReadOnly {
		opts.AccessMode = pgx.ReadOnly
	}
	if o.Deferrable {
		opts.DeferrableMode = pgx.Deferrable
	}
	return opts
}

// InTx is [DB].InTx: InTxWith the zero [TxOptions].
func (m *Manager) InTx(ctx context.Context, fn func(*Tx) error) error {
	return m.InTxWith(ctx, TxOptions{}, fn)
}

// InTxWith runs fn in a transaction with options: committed when fn returns nil,
// rolled back when it returns an error, panics, calls runtime.Goexit, or ctx ends.
// With opts.Attempts above 1, fn runs again after ErrRetryable, so it must be
// safe to repeat: everything it changes should be in the database.
//
// fn's error is returned as it is.
func (m *Manager) InTxWith(ctx context.Context, opts TxOptions, fn func(*Tx) error) error {
	for attempt := 1; ; attempt++ {
		tx, err := m.BeginWith(ctx, opts)
		if err != nil {
			return err
		}
		err = run(ctx, tx, fn)
		if err == nil || attempt >= opts.Attempts || !errors.Is(err, ErrRetryable) {
			return err
		}
		m.pool.monitor.repeated(m.binding)
		pause := fullJitter(firstRetryPause, maxRetryPause, attempt)
		m.pool.log.LogAttrs(ctx, slog.LevelWarn, "transaction retried",
			slog.String("module", m.binding.Module), slog.String("schema", m.binding.Schema),
			slog.Int("attempt", attempt), slog.String("sqlstate", sqlState(err)), slog.Duration("pause", pause))
		if sleep(ctx, pause) != nil {
			return err
		}
	}
}

// run runs fn in tx and ends tx.
func run(ctx context.Context, tx *Tx, fn func(*Tx) error) error {
	ended := false
	defer func() {
		if !ended { // an error, a panic or runtime.Goexit
			_ = tx.Rollback(ctx) // fn's error says more; a connection that cannot roll back is closed
		}
	}()
	if err := fn(tx); err != nil {
		return err
	}
	ended = true
	return tx.Commit(ctx)
}
