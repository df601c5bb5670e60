package pgdbm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
)

// TxOptions say what kind of transaction InTxWith and [Manager.BeginWith] run. The
// zero value is what InTx runs: the server's default isolation (read committed),
// read-write, one attempt.
type TxOptions struct {
	// Isolation is the isolation level; "" is the server's default.
	Isolation pgx.TxIsoLevel

	// ReadOnly forbids writes: ErrReadOnly.
	ReadOnly bool

	// Deferrable lets a serializable read-only transaction wait until it can
	// run without ever being aborted. It needs both of the above.
	Deferrable bool

	// SearchPath sets search_path to the bound schema and public for this
	// transaction, for SQL that does not qualify its names, such as sqlc's. It is
	// sent with BEGIN.
	SearchPath bool

	// Attempts bounds how often InTxWith runs its closure: again after
	// ErrRetryable (serialization failure, deadlock, a table that changed), and
	// after ErrUnavailable as long as COMMIT was not sent, or ErrReadOnly of a
	// server. 0 and 1 are no retry. The pauses between attempts are random and
	// grow from 10 ms to 1 s.
	Attempts int
}

// Pauses between the attempts of a transaction.
const (
	firstRetryPause = 10 * time.Millisecond
	maxRetryPause   = time.Second
)

var isolationLevels = []pgx.TxIsoLevel{"", pgx.ReadUncommitted, pgx.ReadCommitted, pgx.RepeatableRead, pgx.Serializable}

func (o TxOptions) validate(schema string) error {
	var errs []error
	if !slices.Contains(isolationLevels, o.Isolation) { // it would become part of BEGIN
		errs = append(errs, fmt.Errorf("pgdbm: TxOptions.Isolation %q: use pgx.Serializable, pgx.RepeatableRead or pgx.ReadCommitted", o.Isolation))
	}
	if o.Deferrable && (o.Isolation != pgx.Serializable || !o.ReadOnly) {
		errs = append(errs, errors.New("pgdbm: TxOptions.Deferrable needs Isolation serializable and ReadOnly"))
	}
	if o.SearchPath && schema == "" {
		errs = append(errs, errors.New("pgdbm: TxOptions.SearchPath needs a manager that is bound to a schema"))
	}
	if o.Attempts < 0 {
		errs = append(errs, errors.New("pgdbm: TxOptions.Attempts must not be negative"))
	}
	return errors.Join(errs...)
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

// searchPath is the search_path of SQL that does not qualify its names.
func searchPath(schema string) string { return sqltmpl.Quote(schema) + ", public" }

const setSearchPath = "select set_config('search_path', $1, true)"

// InTx is [DB].InTx: InTxWith the zero [TxOptions].
func (m *Manager) InTx(ctx context.Context, fn func(*Tx) error) error {
	return m.InTxWith(ctx, TxOptions{}, fn)
}

// InTxWith is [DB].InTxWith: it begins a transaction.
func (m *Manager) InTxWith(ctx context.Context, opts TxOptions, fn func(*Tx) error) error {
	return m.inTx(ctx, m, opts, fn)
}

// beginner begins transactions.
type beginner interface {
	BeginWith(ctx context.Context, opts TxOptions) (*Tx, error)
}

// inTx is InTxWith of the transactions that by begins.
func (m *Manager) inTx(ctx context.Context, by beginner, opts TxOptions, fn func(*Tx) error) error {
	for attempt := 1; ; attempt++ {
		tx, err := by.BeginWith(ctx, opts)
		if err != nil {
			return err
		}
		err = run(ctx, tx, fn)
		if err == nil || opts.Attempts < 2 || !m.mayRetry(opts, err) {
			return err
		}
		if attempt == opts.Attempts {
			return within(fmt.Sprintf("transaction given up after %d attempts", attempt), err)
		}
		m.pool.monitor.repeated(m.binding)
		pause := fullJitter(firstRetryPause, maxRetryPause, attempt)
		m.pool.log.LogAttrs(ctx, slog.LevelWarn, "transaction retried",
			slog.String("module", m.binding.Module), slog.String("schema", m.binding.Schema),
			slog.Int("attempt", attempt), slog.String("sqlstate", sqlState(err)), slog.Duration("pause", pause))
		if ended := sleep(ctx, pause); ended != nil {
			return &contextError{what: fmt.Sprintf("transaction given up after attempt %d of %d, %v", attempt, opts.Attempts, ended), err: err, also: ended}
		}
	}
}

// mayRetry reports whether a transaction that ended in err, so that nothing of
// it is stored, may succeed when it runs again.
func (m *Manager) mayRetry(opts TxOptions, err error) bool {
	switch {
	case errors.Is(err, ErrCommitUnknown): // of another transaction, beside it
		return false
	case errors.Is(err, ErrUnavailable):
		return !m.pool.closed.Load()
	case sqlState(err) == "25006": // the next connection may lead to another server
		return !opts.ReadOnly
	}
	return errors.Is(err, ErrRetryable)
}

// run runs fn in tx and ends tx.
func run(ctx context.Context, tx *Tx, fn func(*Tx) error) error {
	tx.level.managed = true
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
	return tx.commit(ctx)
}

// InTx runs fn in a savepoint: what fn did is undone when it returns an error
// or panics, and the transaction goes on.
func (tx *Tx) InTx(ctx context.Context, fn func(*Tx) error) error {
	savepoint, err := tx.Begin(ctx)
	if err != nil {
		return err
	}
	return run(ctx, savepoint, fn)
}

// InTxWith is [DB].InTxWith: it sets a savepoint in a transaction that must be
// what opts ask for. SearchPath holds until the end of the savepoint.
func (tx *Tx) InTxWith(ctx context.Context, opts TxOptions, fn func(*Tx) error) error {
	if err := errors.Join(opts.validate(tx.Schema()), tx.conn.admit(opts)); err != nil {
		return err
	}
	savepoint, err := tx.Begin(ctx)
	if err != nil {
		return err
	}
	if !opts.SearchPath {
		return run(ctx, savepoint, fn)
	}
	return run(ctx, savepoint, func(tx *Tx) error {
		before := tx.QueryRow(ctx, "select current_setting('search_path')")
		if err := before.Scan(&tx.level.searchPath); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, setSearchPath, searchPath(tx.Schema())); err != nil {
			return err
		}
		return fn(tx)
	})
}

// admit reports in what a transaction that has begun differs from opts.
func (c *txConn) admit(opts TxOptions) error {
	want := opts.pgx()
	var errs []error
	differ := func(what string) {
		errs = append(errs, fmt.Errorf("pgdbm: InTxWith: a savepoint cannot make its transaction %s; ask for it where the transaction begins", what))
	}
	if want.IsoLevel != "" && want.IsoLevel != c.opts.IsoLevel {
		differ(string(want.IsoLevel))
	}
	if opts.ReadOnly && c.opts.AccessMode != pgx.ReadOnly {
		differ("read-only")
	}
	if opts.Deferrable && c.opts.DeferrableMode != pgx.Deferrable {
		differ("deferrable")
	}
	return errors.Join(errs...)
}
