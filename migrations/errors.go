package migrations

import "errors"

// The classes of errors. Test for them with errors.Is.
var (
	// ErrDrift: a file that has been applied was edited since, or a Go migration
	// renamed.
	ErrDrift = errors.New("an applied migration was edited")

	// ErrOutOfOrder: a pending file has a version below one that is applied.
	ErrOutOfOrder = errors.New("a pending migration is older than an applied one")

	// ErrUnknownApplied: a migration is recorded that the source does not have,
	// below the newest that it has. Or the schema is on its way to a checkpoint, and
	// the files that lead there are gone.
	ErrUnknownApplied = errors.New("an applied migration is unknown")

	// ErrPending: [Migrator.Verify] found migrations that are not applied.
	ErrPending = errors.New("migrations are pending")

	// ErrLockTimeout: another process held the schema's lock for longer than
	// Config.LockTimeout.
	ErrLockTimeout = errors.New("waited too long for another migration run")

	// ErrLockLost: the schema's lock was released under us, for example by a
	// file that calls pg_advisory_unlock_all or runs DISCARD ALL.
	ErrLockLost = errors.New("the migration lock was lost")

	// ErrPooled: something needs a connection of its own, and there is a
	// transaction pooler in between.
	ErrPooled = errors.New("not possible through a transaction pooler")

	// ErrTxControl: a file controls transactions itself, or the function of a Go
	// migration tried to.
	ErrTxControl = errors.New("transaction control in a migration")

	// ErrPrefixChanged: statements of a no-transaction file that have been
	// executed were edited after a later one failed.
	ErrPrefixChanged = errors.New("executed statements were edited")
)
