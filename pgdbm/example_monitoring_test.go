package pgdbm_test

import (
	"context"
	"fmt"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Counting needs no set-up, and asking for the numbers no database.
func ExamplePool_Metrics() {
	pool, err := pgdbm.New(pgdbm.Config{ConnString: "host=localhost user=app"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = pool.Close(context.Background()) }()
	if _, err := pool.Manager("shop"); err != nil {
		fmt.Println(err)
	}
	for _, m := range pool.Metrics().Modules {
		fmt.Println(m.Module, m.Statements, m.Errors["conflict"], m.Duration.Quantile(0.99))
	}
	// Output:
	// (none) 0 0 0s
	// shop 0 0 0s
}

// It works in a transaction too, which goes on as if nothing had been done.
func ExampleExplainAnalyze() {
	ctx := context.Background()
	pool, err := pgdbm.Open(ctx, pgdbm.Config{Host: "db.example.org", Schema: "shop"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = pool.Close(ctx) }()
	db, err := pool.Manager("")
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := pgdbm.ExplainAnalyze(ctx, db, "delete from {{tables.carts}} where touched < now() - $1::interval", "30 days")
	fmt.Println(plan.Text, plan.ExecutionTime, err) // no cart is gone
}

// Who waits for a lock, for whom, and what that one is doing.
func ExamplePool_Blocked() {
	ctx := context.Background()
	pool, err := pgdbm.Open(ctx, pgdbm.Config{Host: "db.example.org"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = pool.Close(ctx) }()
	blocked, err := pool.Blocked(ctx)
	for _, b := range blocked {
		fmt.Println(b.PID, "waits", b.Waiting, "for", b.Mode, b.Relation)
		for _, by := range b.By {
			fmt.Println("  ", by.PID, by.State, by.InTransaction, by.Query)
		}
	}
	fmt.Println(err)
}
