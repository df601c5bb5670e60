package pgdbm_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// The same text in three schemas, and what a slip of the pen says.
func ExampleManager_Expand() {
	pool, err := pgdbm.New(pgdbm.Config{ConnString: "postgres://localhost/shop"}) // not connected to
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = pool.Close(context.Background()) }()
	for _, schema := range []string{"", "app", "Order"} {
		db, err := pool.Manager(schema)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(db.Expand("select {{schema}}.total(u) from {{tables.users}} u"))
		if schema == "Order" {
			_, err = db.Expand("select * from {{table.users}}")
			fmt.Println(err)
		}
	}
	// Output:
	// select "public".total(u) from "users" u <nil>
	// select "app".total(u) from "app"."users" u <nil>
	// select "Order".total(u) from "Order"."users" u <nil>
	// pgdbm: template {{table.users}} at offset 14: is unknown; did you mean {{tables.users}}? (write {{{{ for a literal {{)
}

// A struct in the struct is nil where a LEFT JOIN finds nothing.
func ExampleFetchAll() {
	type Account struct {
		Name    string
		Balance int
	}
	type Holder struct {
		Name    string
		Account *Account // columns "account.name" and "account.balance"
	}
	example(func(ctx context.Context, db *pgdbm.Manager) {
		holders, err := pgdbm.FetchAll[Holder](ctx, db, `
			select h.name, a.name as "account.name", a.balance as "account.balance"
			from (values ('ann'), ('eve')) h (name) left join {{tables.accounts}} a using (name) order by h.name`)
		for _, h := range holders {
			if h.Account == nil {
				fmt.Println(h.Name, "has no account")
				continue
			}
			fmt.Println(h.Name, h.Account.Balance)
		}
		fmt.Println(err)
	})
	// Output:
	// ann 100
	// eve has no account
	// <nil>
}

func ExampleFetchOne() {
	example(func(ctx context.Context, db *pgdbm.Manager) {
		balance, err := pgdbm.FetchOne[int](ctx, db, "select balance from {{tables.accounts}} where name = $1", "ann")
		fmt.Println(balance, err)
		row, err := pgdbm.FetchOne[map[string]any](ctx, db, "select * from {{tables.accounts}} where name = $1", "bob")
		fmt.Println(row, err)
		_, err = pgdbm.FetchOne[int](ctx, db, "select balance from {{tables.accounts}} where name = $1", "eve")
		fmt.Println(errors.Is(err, pgdbm.ErrNotFound))
		_, err = pgdbm.FetchOne[int](ctx, db, "select balance from {{tables.accounts}}")
		fmt.Println(err)
	})
	// Output:
	// 100 <nil>
	// map[balance:0 name:bob] <nil>
	// true
	// pgdbm: FetchOne: more than one row; use FetchAll, or LIMIT 1 if any row will do
}

// Rows are handled as they come; leaving the loop gives the connection back.
func ExampleEach() {
	example(func(ctx context.Context, db *pgdbm.Manager) {
		for name, err := range pgdbm.Each[string](ctx, db, "select name from {{tables.accounts}} order by name") {
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println(name)
		}
	})
	// Output:
	// ann
	// bob
}

// All of it or nothing, and the error says which set it was.
func ExampleExecMany() {
	example(func(ctx context.Context, db *pgdbm.Manager) {
		const insert = "insert into {{tables.accounts}} values ($1, $2)"
		n, err := pgdbm.ExecMany(ctx, db, insert, [][]any{{"carl", 1}, {"dora", 2}})
		fmt.Println(n, err)
		_, err = pgdbm.ExecMany(ctx, db, insert, [][]any{{"eve", 1}, {"ann", 2}})
		fmt.Println(err)
		names, err := pgdbm.FetchAll[string](ctx, db, "select name from {{tables.accounts}} order by name")
		fmt.Println(names, err)
	})
	// Output:
	// 2 <nil>
	// pgdbm: ExecMany: argSets[1]: conflict: duplicate key value violates unique constraint "accounts_pkey" (table bank.accounts, SQLSTATE 23505)
	// [ann bob carl dora] <nil>
}

func ExampleExecReturningID() {
	example(func(ctx context.Context, db *pgdbm.Manager) {
		if _, err := db.Exec(ctx, "create table {{tables.orders}} (id bigint generated always as identity, note text)"); err != nil {
			fmt.Println(err)
			return
		}
		id, err := pgdbm.ExecReturningID[int64](ctx, db, "insert into {{tables.orders}} (note) values ($1)", "an apple")
		fmt.Println(id, err)
		name, err := pgdbm.ExecReturningID[string](ctx, db, "update {{tables.accounts}} set balance = 0 where name = $1 returning name", "ann")
		fmt.Println(name, err)
	})
	// Output:
	// 1 <nil>
	// ann <nil>
}

// Rows of any number, from wherever they come.
func ExampleCopySeq() {
	example(func(ctx context.Context, db *pgdbm.Manager) {
		n, err := pgdbm.CopySeq(ctx, db, "accounts", []string{"name", "balance"}, func(yield func([]any, error) bool) {
			for i := range 1000 {
				if !yield([]any{fmt.Sprint("account ", i), i}, nil) {
					return
				}
			}
		})
		fmt.Println(n, err)
	})
	// Output: 1000 <nil>
}

func ExampleManager_Listen() {
	example(func(ctx context.Context, db *pgdbm.Manager) {
		for n, err := range db.Listen(ctx, "balances") {
			switch {
			case err != nil:
				fmt.Println(err)
				return
			case n.Missed: // listening has begun, or begun again: read what is there now
				balance, err := pgdbm.FetchValue[int](ctx, db, "select balance from {{tables.accounts}} where name = 'ann'")
				fmt.Println("ann has", balance, err)
				err = db.InTx(ctx, func(tx *pgdbm.Tx) error { // as somebody else would
					if _, err := tx.Exec(ctx, "update {{tables.accounts}} set balance = 70 where name = 'ann'"); err != nil {
						return err
					}
					return pgdbm.Notify(ctx, tx, "balances", "ann")
				})
				fmt.Println(err)
			default:
				balance, err := pgdbm.FetchValue[int](ctx, db, "select balance from {{tables.accounts}} where name = $1", n.Payload)
				fmt.Println(n.Payload, "has", balance, err)
				return
			}
		}
	})
	// Output:
	// ann has 100 <nil>
	// <nil>
	// ann has 70 <nil>
}
