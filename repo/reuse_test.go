package repo_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// What rows are decoded by is kept from one statement to the next.

func TestTypesAreReplacedOnALiveConnection(t *testing.T) {
	t.Parallel()
	db := openWith(t, pgdbm.Config{MaxConns: 1}, userTable)
	users := newRepo[user](t, db, "users")
	stored := insert(t, users, user{Email: "a@x"})[0]
	for _, zone := range []*time.Location{time.FixedZone("east", 3600), time.UTC} {
		conn, err := db.Acquire(t.Context())
		check(t, err)
		conn.Conn().TypeMap().RegisterType(&pgtype.Type{
			Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: zone},
		})
		conn.Release()
		got, err := users.Get(t.Context(), stored.ID)
		check(t, err)
		testkit.Equal(t, got.CreatedAt.Location(), zone)
		listed, err := users.Where().All(t.Context())
		check(t, err)
		testkit.Equal(t, listed[0].UpdatedAt.Location(), zone)
	}
}

func TestColumnsChangeTheirTypeBetweenStatements(t *testing.T) {
	t.Parallel()
	db, users := setup(t)
	stored := insert(t, users, user{Email: "a@x", Age: 1})[0]
	for _, change := range []string{"bigint", "smallint", "numeric", "text using age::text", "int using age::int"} {
		run(t, db, "alter table {{tables.users}} alter column age type "+change)
		got, err := users.Get(t.Context(), stored.ID)
		if change == "text using age::text" {
			wantError(t, err, "age", "int")
			continue
		}
		check(t, err)
		testkit.Equal(t, got, stored)
	}
}

// A row that cannot be read leaves nothing for the next one.
func TestNothingIsLeftOfARowThatFailed(t *testing.T) {
	t.Parallel()
	db, users := setup(t)
	rows := insert(t, users, user{Email: "a@x", Nick: new("al")}, user{Email: "b@x"})
	run(t, db, "alter table {{tables.users}} alter column age drop not null;\nupdate {{tables.users}} set age = null where nick is not null")
	_, err := users.Get(t.Context(), rows[0].ID)
	wantError(t, err, "age", "NULL")
	got, err := users.Get(t.Context(), rows[1].ID)
	check(t, err)
	testkit.Equal(t, got, rows[1])
}

func TestUpsertAndGetInTurns(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "cache_describe", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			db := openMode(t, mode, userTable)
			users := newRepo[user](t, db, "users")
			for i := range 6 {
				u := user{Email: "a@x", Age: i}
				inserted, err := users.Upsert(t.Context(), &u, userEmail)
				check(t, err)
				testkit.Equal(t, inserted, i == 0)
				got, err := users.Get(t.Context(), u.ID)
				check(t, err)
				testkit.Equal(t, got, u)
				testkit.Equal(t, got.Version, int64(i+1))
			}
		})
	}
}
