package pgdbm_test

import (
	"context"
	"fmt"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// A read that follows a write goes to a replica that has it, or to the primary.
func ExampleManager_Replica() {
	ctx := context.Background()
	pool, err := pgdbm.Open(ctx, pgdbm.Config{
		ConnString:        "host=db1,db2 user=app dbname=shop target_session_attrs=read-write",
		ReplicaConnString: "host=db1,db2 user=app dbname=shop target_session_attrs=prefer-standby",
		Schema:            "shop",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = pool.Close(context.WithoutCancel(ctx)) }()
	shop, err := pool.Manager("")
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := shop.Exec(ctx, "update {{tables.items}} set price = $1 where id = $2", 995, 7); err != nil {
		fmt.Println(err)
		return
	}
	token, err := shop.Token(ctx) // it may travel, in a cookie for example
	if err != nil {
		fmt.Println(err)
		return
	}
	price, err := pgdbm.FetchValue[int](ctx, shop.Replica(token), "select price from {{tables.items}} where id = $1", 7)
	fmt.Println(price, err)
}
