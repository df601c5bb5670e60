package repo_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

// Each benchmark runs the repository and hand-written pgx in turns and reports
// the median of the ratios, and the allocations of one operation of each.

const (
	opsPerRound = 20
	columns     = `id, email, age, nick, version, deleted_at, created_at, updated_at`
)

type contender struct {
	took   time.Duration
	allocs uint64
}

func (c *contender) round(b *testing.B, op func() error) {
	b.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	for range opsPerRound {
		if err := op(); err != nil {
			b.Fatal(err)
		}
	}
	c.took = time.Since(start)
	runtime.ReadMemStats(&after)
	c.allocs += after.Mallocs - before.Mallocs
}

func compare(b *testing.B, ours, raw func() error) {
	b.Helper()
	var (
		a, z   contender
		ratios []float64
	)
	for b.Loop() {
		if len(ratios)%2 == 0 {
			a.round(b, ours)
			z.round(b, raw)
		} else {
			z.round(b, raw)
			a.round(b, ours)
		}
		ratios = append(ratios, float64(a.took)/float64(z.took))
	}
	slices.Sort(ratios)
	ops := float64(len(ratios) * opsPerRound)
	b.ReportMetric(ratios[len(ratios)/2], "×raw")
	b.ReportMetric(float64(a.allocs)/ops, "allocs/ours")
	b.ReportMetric(float64(z.allocs)/ops, "allocs/raw")
	b.ReportMetric(float64(a.took.Microseconds())/opsPerRound, "µs/ours")
}

func benchSetup(b *testing.B) (*repo.Repository[user], *pgxpool.Pool, []user) {
	b.Helper()
	db, users := setup(b)
	rows := manyUsers(1000)
	check(b, users.InsertAll(b.Context(), rows))
	run(b, db, "analyze {{tables.users}}")
	pool, err := pgxpool.New(b.Context(), benchDSN(b, db))
	check(b, err)
	b.Cleanup(pool.Close)
	return users, pool, rows
}

// benchDSN returns the address of db's database.
func benchDSN(b *testing.B, db *pgdbm.Manager) string {
	b.Helper()
	conn, err := db.Acquire(b.Context())
	check(b, err)
	defer conn.Release()
	return conn.Conn().Config().ConnString()
}

func (u *user) targets() []any {
	return []any{&u.ID, &u.Email, &u.Age, &u.Nick, &u.Version, &u.DeletedAt, &u.CreatedAt, &u.UpdatedAt}
}

func BenchmarkGet(b *testing.B) {
	users, pool, rows := benchSetup(b)
	ctx := b.Context()
	compare(b, func() error {
		_, err := users.Get(ctx, rows[500].ID)
		return err
	}, func() error {
		var u user
		return pool.QueryRow(ctx, "select "+columns+" from app.users where id = $1 and deleted_at is null", rows[500].ID).Scan(u.targets()...)
	})
}

func BenchmarkList100(b *testing.B) {
	users, pool, _ := benchSetup(b)
	ctx := b.Context()
	compare(b, func() error {
		_, err := users.Where(userAge.Ge(18)).OrderBy(userID.Asc()).Limit(100).All(ctx)
		return err
	}, func() error {
		rows, err := pool.Query(ctx, "select "+columns+" from app.users where age >= $1 and deleted_at is null order by id limit $2", 18, 100)
		if err != nil {
			return err
		}
		defer rows.Close()
		var u user
		targets, all := u.targets(), make([]user, 0, 100)
		for rows.Next() {
			u = user{}
			if err := rows.Scan(targets...); err != nil {
				return err
			}
			all = append(all, u)
		}
		if len(all) != 100 {
			return fmt.Errorf("%d rows", len(all))
		}
		return rows.Err()
	})
}

func BenchmarkInsert(b *testing.B) {
	users, pool, _ := benchSetup(b)
	ctx := b.Context()
	n := 0
	compare(b, func() error {
		n++
		return users.Insert(ctx, &user{Email: fmt.Sprint("i", n), Age: 5, Nick: new("x")})
	}, func() error {
		n++
		u := user{Email: fmt.Sprint("i", n), Age: 5, Nick: new("x")}
		return pool.QueryRow(ctx, "insert into app.users (email, age, nick, version, deleted_at, updated_at) values ($1, $2, $3, 1, $4, now()) returning "+columns,
			u.Email, u.Age, u.Nick, u.DeletedAt).Scan(u.targets()...)
	})
}

func BenchmarkUpdate(b *testing.B) {
	users, pool, rows := benchSetup(b)
	ctx := b.Context()
	mine, theirs := rows[1], rows[2]
	compare(b, func() error {
		mine.Age++
		return users.Update(ctx, &mine)
	}, func() error {
		theirs.Age++
		return pool.QueryRow(ctx, "update app.users set email = $1, age = $2, nick = $3, version = version + 1, updated_at = now() where id = $4 and version = $5 and deleted_at is null returning "+columns,
			theirs.Email, theirs.Age, theirs.Nick, theirs.ID, theirs.Version).Scan(theirs.targets()...)
	})
}

func BenchmarkPartialUpdate(b *testing.B) {
	users, pool, rows := benchSetup(b)
	ctx := b.Context()
	compare(b, func() error {
		_, err := users.ByKey(rows[1].ID).Update(ctx, userNick.Set(new("x")), repo.Add(userAge, 1))
		return err
	}, func() error {
		_, err := pool.Exec(ctx, "update app.users set nick = $1, age = age + $2, version = version + 1, updated_at = now() where id = $3 and deleted_at is null", new("x"), 1, rows[2].ID)
		return err
	})
}

// Half of the rows are there already.
func BenchmarkUpsert(b *testing.B) {
	users, pool, _ := benchSetup(b)
	ctx := b.Context()
	n := 0
	next := func() user {
		n++
		return user{Email: fmt.Sprint("up", n/2), Age: 5, Nick: new("x")}
	}
	compare(b, func() error {
		u := next()
		_, err := users.Upsert(ctx, &u, userEmail)
		return err
	}, func() error {
		u, inserted := next(), false
		return pool.QueryRow(ctx, "insert into app.users as t (email, age, nick, version, updated_at) values ($1, $2, $3, 1, now()) on conflict (email) where deleted_at is null "+
			"do update set age = excluded.age, nick = excluded.nick, version = t.version + 1, updated_at = now() returning "+columns+", xmax = 0",
			u.Email, u.Age, u.Nick).Scan(append(u.targets(), &inserted)...)
	})
}

func BenchmarkInsertAll1000(b *testing.B) {
	users, pool, _ := benchSetup(b)
	ctx := b.Context()
	compare(b, func() error {
		return users.InsertAll(ctx, manyRows(1000))
	}, func() error {
		rows := manyRows(1000)
		emails, ages, nicks := make([]string, 1000), make([]int, 1000), make([]*string, 1000)
		for i := range rows {
			emails[i], ages[i], nicks[i] = rows[i].Email, rows[i].Age, rows[i].Nick
		}
		result, err := pool.Query(ctx, "insert into app.users (email, age, nick, version, updated_at) select u.*, 1, now() from unnest($1::text[], $2::int[], $3::text[]) u returning "+columns, emails, ages, nicks)
		if err != nil {
			return err
		}
		defer result.Close()
		for i := 0; result.Next(); i++ {
			if err := result.Scan(rows[i].targets()...); err != nil {
				return err
			}
		}
		return result.Err()
	})
}

// manyRows returns rows that do not collide with others.
func manyRows(n int) []user {
	rows := manyUsers(n)
	prefix := fmt.Sprint(time.Now().UnixNano(), " ")
	for i := range rows {
		rows[i].Email = prefix + rows[i].Email
	}
	return rows
}
