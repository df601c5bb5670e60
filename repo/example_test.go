package repo_test

import (
	"fmt"
	"time"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

type Customer struct {
	ID        int64     `db:"id,key,auto"`
	Email     string    `db:"email"`
	Credit    int       `db:"credit"`
	Version   int64     `db:"version,version"`
	CreatedAt time.Time `db:"created_at,auto"`
}

var CustomerEmail = repo.Col(func(c *Customer) *string { return &c.Email })

// A repository needs a struct, its table and a pgdbm.DB; making one sends nothing.
func ExampleNew() {
	pool, err := pgdbm.New(pgdbm.Config{ConnString: "host=localhost user=app"})
	if err != nil {
		fmt.Println(err)
		return
	}
	db, err := pool.Manager("shop")
	if err != nil {
		fmt.Println(err)
		return
	}
	customers, err := repo.New[Customer](db, "customers")
	fmt.Printf("%T %v\n", customers, err)

	// Every mistake in the tags is found here, at the start of the program.
	type Broken struct {
		ID    int    `db:"id,keys"`
		Email string `db:"email"`
		Mail  string `db:"email"`
	}
	_, err = repo.New[Broken](db, "broken")
	fmt.Println(err)
	// Output:
	// *repo.Repository[github.com/pgdbm/pgdbm-go/repo_test.Customer] <nil>
	// repo: broken (repo_test.Broken): field ID: unknown option "keys"; did you mean "key"?
	// fields Email and Mail both map to the column "email"
	// no field is tagged as the key; write `db:"id,key"` on the columns of the primary key
}

// A sort order from outside becomes a column, or an error.
func ExampleColByName() {
	column, err := repo.ColByName[Customer]("credit")
	fmt.Println(column, err)
	_, err = repo.ColByName[Customer]("credits")
	fmt.Println(err)
	// Output:
	// credit <nil>
	// repo: Customer has no column "credits" (columns: id, email, credit, version, created_at); did you mean "credit"?
}

func ExampleCol() {
	fmt.Println(CustomerEmail.Name())
	// Output: email
}
