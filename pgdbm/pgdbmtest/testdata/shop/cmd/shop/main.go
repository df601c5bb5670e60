// Command shop asks a server whether it is there. It imports only pgdbm.
package main

import (
	"context"
	"log"
	"os"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func main() {
	ctx := context.Background()
	pool, err := pgdbm.Open(ctx, pgdbm.Config{ConnString: os.Getenv("DATABASE_URL")})
	if err != nil {
		log.Fatal(err)
	}
	if err := pool.Close(ctx); err != nil {
		log.Fatal(err)
	}
}
