package pgdbm_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// A store asks for the transaction it needs. Called with a Manager it gets one of
// its own, which is repeated when another one was in the way; called with a Tx it
// takes part in that, if it is serializable.
func ExampleDB_inTxWith() {
	transfer := func(ctx context.Context, db pgdbm.DB, from, to string, amount int) error {
		opts := pgdbm.TxOptions{Isolation: pgx.Serializable, Attempts: 5}
		return db.InTxWith(ctx, opts, func(tx *pgdbm.Tx) error {
			if _, err := tx.Exec(ctx, "update {{tables.accounts}} set balance = balance - $2 where name = $1", from, amount); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "update {{tables.accounts}} set balance = balance + $2 where name = $1", to, amount)
			return err
		})
	}

	example(func(ctx context.Context, db *pgdbm.Manager) {
		err := transfer(ctx, db, "ann", "bob", 30)
		fmt.Println(err)
		err = transfer(ctx, db, "ann", "bob", 300)
		fmt.Println(errors.Is(err, pgdbm.ErrInvalid), err)
		err = db.InTx(ctx, func(tx *pgdbm.Tx) error { return transfer(ctx, tx, "ann", "bob", 1) })
		fmt.Println(err)
	})
	// Output:
	// <nil>
	// true pgdbm: invalid value: new row for relation "accounts" violates check constraint "accounts_balance_check" (table bank.accounts, SQLSTATE 23514)
	// pgdbm: InTxWith: a savepoint cannot make its transaction serializable; ask for it where the transaction begins
}

// What may fail while the transaction goes on has a savepoint of its own.
func ExampleTx_InTx() {
	example(func(ctx context.Context, db *pgdbm.Manager) {
		err := db.InTx(ctx, func(tx *pgdbm.Tx) error {
			for _, name := range []string{"ann", "carl"} {
				err := tx.InTx(ctx, func(tx *pgdbm.Tx) error {
					_, err := tx.Exec(ctx, "insert into {{tables.accounts}} values ($1, 0)", name)
					return err
				})
				if err != nil && !errors.Is(err, pgdbm.ErrConflict) {
					return err
				}
				fmt.Println(name, err == nil)
			}
			return nil
		})
		n, countErr := pgdbm.FetchValue[int](ctx, db, "select count(*) from {{tables.accounts}}")
		fmt.Println(n, err, countErr)
	})
	// Output:
	// ann false
	// carl true
	// 3 <nil> <nil>
}

// Begin is for transactions that do not fit into a function. Rollback after Commit
// does nothing, so it can be deferred.
func ExampleManager_Begin() {
	example(func(ctx context.Context, db *pgdbm.Manager) {
		tx, err := db.Begin(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer func() { _ = tx.Rollback(ctx) }()
		if _, err := tx.Exec(ctx, "delete from {{tables.accounts}}"); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(tx.Commit(ctx))
	})
	// Output: <nil>
}

// example calls fn with a database that has the accounts of ann and bob.
func example(fn func(ctx context.Context, db *pgdbm.Manager)) {
	var t exampleTB
	defer t.end()
	ctx := context.Background()
	pool, err := pgdbm.Open(ctx, pgdbm.Config{ConnString: testkit.ConnString(&t)})
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer func() { _ = pool.Close(ctx) }()
	db, err := pool.Manager("bank")
	if err != nil {
		t.Fatalf("%v", err)
	}
	_, err = db.Exec(ctx, `create schema {{schema}};
		create table {{tables.accounts}} (name text primary key, balance int check (balance >= 0));
		insert into {{tables.accounts}} values ('ann', 100), ('bob', 0)`)
	if err != nil {
		t.Fatalf("%v", err)
	}
	fn(ctx, db)
}

// exampleTB is the test that an example is not.
type exampleTB struct{ cleanups []func() }

func (t *exampleTB) end() {
	for _, cleanup := range slices.Backward(t.cleanups) {
		cleanup()
	}
}

func (t *exampleTB) Helper()                           {}
func (t *exampleTB) Cleanup(fn func())                 { t.cleanups = append(t.cleanups, fn) }
func (t *exampleTB) Failed() bool                      { return false }
func (t *exampleTB) Logf(string, ...any)               {}
func (t *exampleTB) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (t *exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (t *exampleTB) Skipf(format string, args ...any)  { panic(fmt.Sprintf(format, args...)) }
