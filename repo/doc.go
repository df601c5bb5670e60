// Package repo reads and writes the rows of one table as values of one struct.
//
//	type User struct {
//		ID        int64      `db:"id,key,auto"`
//		Email     string     `db:"email"`
//		Age       int        `db:"age"`
//		Version   int64      `db:"version,version"`
//		DeletedAt *time.Time `db:"deleted_at,softdelete"`
//		UpdatedAt time.Time  `db:"updated_at,touch"`
//	}
//
//	var (
//		email = repo.Col(func(u *User) *string { return &u.Email })
//		age   = repo.Col(func(u *User) *int { return &u.Age })
//	)
//
//	users, err := repo.New[User](db, "users")
//	u, err := users.Get(ctx, int64(7))
//	adults, err := users.Where(age.Ge(18)).OrderBy(age.Desc()).Limit(20).All(ctx)
//
// Columns are typed references to fields: a column of another struct, a value of
// another type or an operator that the type lacks does not compile. A [Query] is
// an immutable value; nothing runs before a method that takes a context. What a
// repository does not do, joins above all, is plain SQL into any struct: see
// [pgdbm.FetchAll].
//
// # Tags
//
// The name in a db tag, fields without a tag (snake case), embedded structs
// (flattened) and nested ones ("address.city") map as in scany. After the name:
//
//	key         part of the primary key
//	auto        the database fills it in: left out of an INSERT when zero, never updated
//	generated   never sent: a column GENERATED ALWAYS, or one that a trigger fills
//	version     an integer that counts the updates of the row; see [Repository.Update]
//	softdelete  the time of deletion, NULL for a live row; see [Repository.Delete]
//	touch       set to now(), the database's clock, on every write
//	json        any Go value, stored as json or jsonb; text that is JSON needs no option
//
// A struct is one column, not a nested one, if it is tagged json, if pgx reads it
// as a value (it implements sql.Scanner, driver.Valuer or one of pgtype's
// interfaces for composites, ranges and arrays) or if it has no exported field.
//
// # Errors
//
// Errors of the database are classified by package pgdbm: test for its sentinels,
// such as [pgdbm.ErrConflict]. A missing row is [pgdbm.ErrNotFound], one that
// somebody else updated [pgdbm.ErrStale], a page cursor that does not fit
// [ErrCursor]. Messages never hold values.
package repo
