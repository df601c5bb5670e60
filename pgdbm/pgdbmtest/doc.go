// Package pgdbmtest gives tests a PostgreSQL database of their own, in one line:
//
//	func TestAdd(t *testing.T) {
//		t.Parallel()
//		db := pgdbmtest.New(t, pgdbmtest.WithModules(users.Module))
//		store, err := users.NewStore(db)
//		…
//	}
//
// The database is there with its migrations applied, nobody else sees it, and it
// is gone when the test ends. There is nothing to start and nothing to close, no
// TestMain and no build tag: without a configured server a private PostgreSQL
// starts by itself, shared by all test packages.
//
// # Entry points
//
// [New] returns a [DB], which is a pgdbm.DB with a few helpers for assertions.
// [NewTx] returns a transaction that is rolled back, [NewSet] the managers of
// several modules, [NewFactory] makes several databases, [URL] is an address for
// code that connects by itself, and [FX] puts an fx application under test on a
// test's database. [Seed] loads rows from files. A sub-test or fuzz target that
// uses the database of its parent takes [DB.For].
//
// # How it is fast
//
// What the options ask for is built once, in a template database that outlives
// the process; its name is a hash of the modules, the migrations' names and
// contents, the fixtures and the keys of [WithSetup]. A test gets a copy, or the
// database of a test before it if the server's statistics prove that only rows
// were changed, and then it is emptied. A database in which a test has
// changed the schema is never used again.
//
// # Limits
//
// Objects of the whole server, such as roles, are not isolated. Helpers that end
// the test (Fatalf) belong to the goroutine of the test. In a testing/synctest
// bubble databases can be used, not made.
//
// docs/testing.md has all of it, with the variables of the environment.
package pgdbmtest
