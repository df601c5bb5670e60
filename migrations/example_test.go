package migrations_test

import (
	"errors"
	"fmt"
	"testing/fstest"

	"github.com/pgdbm/pgdbm-go/migrations"
)

// What is wrong with a folder is known before there is a database.
func ExampleLoad() {
	fsys := fstest.MapFS{
		"0001_users.sql": {Data: []byte("CREATE TABLE {{tables.users}} (id bigint PRIMARY KEY);\nCOMMIT;\n")},
		"0002_index.sql": {Data: []byte("CREATE INDEX CONCURRENTLY i ON {{tables.users}} (id);\n")},
	}
	_, err := migrations.Load(fsys, migrations.LoadOptions{})
	fmt.Println(err)
	fmt.Println(errors.Is(err, migrations.ErrTxControl))
	// Output:
	// migrations: 2 problems
	// 0001_users.sql:2:1: COMMIT controls the transaction (tx-control); take it out: each file is one transaction already
	//     COMMIT;
	//     ^
	// 0002_index.sql:1:1: CREATE INDEX CONCURRENTLY cannot run in a transaction (needs-no-transaction); put it into a file of its own that begins with: -- pgdbm:no-transaction
	//     CREATE INDEX CONCURRENTLY i ON {{tables.users}} (id);
	//     ^
	// true
}

func ExampleSource_Lint() {
	fsys := fstest.MapFS{
		"0001_drop.sql": {Data: []byte("DROP TABLE {{tables.sessions}};\n")},
		"0002_drop.sql": {Data: []byte("-- pgdbm:lint-ignore drop no release reads it any more\nDROP TABLE {{tables.tokens}};\n")},
	}
	src, err := migrations.Load(fsys, migrations.LoadOptions{})
	if err != nil {
		panic(err)
	}
	for _, f := range src.Lint() {
		fmt.Println(f.Position, f.Rule, f.Severity)
	}
	// Output:
	// 0001_drop.sql:1:1 drop warning
}
