package pgdbm_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Citus repeats the error of a shard: its fields are empty, its names the shard's.
// No Citus is at hand here; the messages are those of Citus 13.
func TestNamesOfShards(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pg   pgconn.PgError
		want pgdbm.Error
		text string
	}{
		{
			pgconn.PgError{Code: "23505", Message: `duplicate key value violates unique constraint "users_email_key_102079"`},
			pgdbm.Error{Class: pgdbm.ErrConflict, Constraint: "users_email_key"},
			`pgdbm: conflict: duplicate key value violates unique constraint "users_email_key" (SQLSTATE 23505)`,
		},
		{
			pgconn.PgError{Code: "23503", Message: `insert or update on table "orders_102081" violates foreign key constraint "orders_user_fkey_102081"`},
			pgdbm.Error{Class: pgdbm.ErrReference, Table: "orders", Constraint: "orders_user_fkey"},
			`pgdbm: broken reference: insert or update on table "orders" violates foreign key constraint "orders_user_fkey" (table orders, SQLSTATE 23503)`,
		},
		{
			pgconn.PgError{Code: "23502", Message: `null value in column "email" of relation "users_102079" violates not-null constraint`},
			pgdbm.Error{Class: pgdbm.ErrInvalid, Table: "users", Column: "email"},
			`pgdbm: invalid value: null value in column "email" of relation "users" violates not-null constraint (table users, column email, SQLSTATE 23502)`,
		},
		{
			pgconn.PgError{Code: "23514", Message: `new row for relation "users_102079" violates check constraint "users_age_check"`},
			pgdbm.Error{Class: pgdbm.ErrInvalid, Table: "users", Constraint: "users_age_check"},
			`pgdbm: invalid value: new row for relation "users" violates check constraint "users_age_check" (table users, SQLSTATE 23514)`,
		},
		{ // PostgreSQL itself fills the fields: what looks like a shard is a name
			pgconn.PgError{Code: "23505", Message: `duplicate key value violates unique constraint "foo_202401"`, SchemaName: "app", TableName: "events_202401", ConstraintName: "foo_202401"},
			pgdbm.Error{Class: pgdbm.ErrConflict, Schema: "app", Table: "events_202401", Constraint: "foo_202401"},
			`pgdbm: conflict: duplicate key value violates unique constraint "foo_202401" (table app.events_202401, SQLSTATE 23505)`,
		},
		{ // five digits are no shard's
			pgconn.PgError{Code: "23505", Message: `duplicate key value violates unique constraint "users_email_key_10207"`},
			pgdbm.Error{Class: pgdbm.ErrConflict, Constraint: "users_email_key_10207"},
			`"users_email_key_10207"`,
		},
	} {
		err := pgdbm.Classify(&c.pg)
		e, _ := errors.AsType[*pgdbm.Error](err)
		if e == nil || !errors.Is(e.Class, c.want.Class) || e.Schema != c.want.Schema || e.Table != c.want.Table || e.Column != c.want.Column || e.Constraint != c.want.Constraint {
			t.Errorf("%s: %+v", c.pg.Message, e)
		}
		testkit.ErrorContains(t, err, c.text)
	}
}

// Errors of servers and poolers that cannot be had at will.
func TestClassesAndHints(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pg    pgconn.PgError
		class error
		hint  string
	}{
		{pgconn.PgError{Code: "08006", Message: "connection to the remote node failed"}, pgdbm.ErrUnavailable, ""},
		{pgconn.PgError{Code: "57P03", Message: "the database system is starting up"}, pgdbm.ErrUnavailable, ""},
		{pgconn.PgError{Code: "57P02"}, pgdbm.ErrUnavailable, ""},
		{pgconn.PgError{Code: "57P05"}, pgdbm.ErrUnavailable, ""},
		{pgconn.PgError{Code: "25P04"}, pgdbm.ErrTimeout, ""},
		{pgconn.PgError{Code: "25P03"}, pgdbm.ErrTimeout, "the transaction did nothing for longer than Config.IdleInTransactionTimeout; do slow work outside of transactions"},
		{pgconn.PgError{Code: "26000", Message: `prepared statement "stmtcache_1" does not exist`}, nil, "prepared statements do not live behind a transaction pooler; set Config.Pooler"},
		{pgconn.PgError{Code: "42P05"}, nil, "prepared statements do not live behind a transaction pooler; set Config.Pooler"},
		{pgconn.PgError{Code: "25P02"}, nil, "return the error of the statement that failed, or run it in tx.InTx, a savepoint"},
		{pgconn.PgError{Code: "0A000", Message: "der gecachte Plan darf den Ergebnistyp nicht ändern", Routine: "RevalidateCachedQuery"}, pgdbm.ErrRetryable, "a table changed after the statement was prepared; run the transaction again"},
		{pgconn.PgError{Code: "0A000", Message: "FOR UPDATE is not allowed with DISTINCT clause", Routine: "CheckSelectLocking"}, nil, ""},
		{pgconn.PgError{Code: "40P01"}, pgdbm.ErrRetryable, "run the whole transaction again: InTxWith does with TxOptions.Attempts; lock rows in the same order everywhere"},
		{pgconn.PgError{Code: "42P01", Message: `relation "items" does not exist`}, pgdbm.ErrUndefined, "was it migrated, and should the manager be bound to a schema?"},
		{pgconn.PgError{Code: "XX000", Message: "cache lookup failed"}, nil, ""},
	} {
		e, _ := errors.AsType[*pgdbm.Error](pgdbm.ClassifyWith(&c.pg))
		if e == nil || e.Class != c.class || e.Hint != c.hint { //nolint:errorlint // the class alone
			t.Errorf("%s: class %v, hint %q", c.pg.Code, e.Class, e.Hint)
		}
	}
}
