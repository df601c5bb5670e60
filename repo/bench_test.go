package repo_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

// Each operation by the repository and by hand-written pgx in turns, so that whatever
// else the machine does meets both: x-pgx is the median of the turns' ratios, ns/op
// and allocs are the repository's. internal/bench compares with other libraries.
func BenchmarkRatioToPgx(b *testing.B) {
	d := newDuel(b)
	for _, op := range d.operations() {
		b.Run(op.name, func(b *testing.B) {
			d.b = b
			var took, allocs [2][]float64
			var ratios []float64
			for first := 0; b.Loop(); first = 1 - first {
				for _, i := range [2]int{first, 1 - first} {
					ns, n := d.turn(op, op.sides[i])
					took[i], allocs[i] = append(took[i], ns), append(allocs[i], n)
				}
				ratios = append(ratios, took[0][len(ratios)]/took[1][len(ratios)])
			}
			b.ReportMetric(median(ratios), "x-pgx")
			b.ReportMetric(median(took[0]), "ns/op")
			b.ReportMetric(median(took[1]), "pgx-ns/op")
			b.ReportMetric(median(allocs[0]), "allocs")
			b.ReportMetric(median(allocs[1]), "pgx-allocs")
		})
	}
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// duel is both on one table of one server.
type duel struct {
	b     *testing.B // the one that runs
	ctx   context.Context
	db    *pgdbm.Manager
	users *repo.Repository[user]
	pgx   *byHand
	host  *byHand // prepares turns: neither side is to find its connection warmer
	rows  []user  // of the turn
	made  int     // of all rows
}

// operation is done a number of times in a turn, the i-th time with d.rows[i]; or once
// with all of them.
type operation struct {
	name  string
	times int
	rows  func(times int) []user // makes them before a turn; nil for none
	sides [2]func(i int) error   // the repository, pgx
}

func versus(name string, times int, rows func(int) []user, ours, byHand func(int) error) operation {
	return operation{name, times, rows, [2]func(int) error{ours, byHand}}
}

const usersAlwaysThere = `
	insert into {{tables.users}} (email, age, nick, version, updated_at)
	select 'user' || n, n % 90, case when n % 3 = 0 then 'nick' || n % 100 end, 1, now() from generate_series(1, 20000) n;
	create index on {{tables.users}} (age, id);
	vacuum analyze {{tables.users}}`

func newDuel(b *testing.B) *duel {
	b.Helper()
	db := open(b, userTable, usersAlwaysThere)
	ours := db.Pool().Pgx().Config()
	open := func() *byHand {
		cfg, err := pgxpool.ParseConfig(ours.ConnString())
		check(b, err)
		cfg.ConnConfig.RuntimeParams = ours.ConnConfig.RuntimeParams // a limit costs the server a timer for each statement
		pool, err := pgxpool.NewWithConfig(b.Context(), cfg)
		check(b, err)
		b.Cleanup(pool.Close)
		return &byHand{b.Context(), pool}
	}
	return &duel{b: b, ctx: b.Context(), db: db, users: newRepo[user](b, db, "users"), pgx: open(), host: open()}
}

// turn lets one side do an operation, on a table as it was in the beginning, and
// returns the nanoseconds and allocations that one took.
func (d *duel) turn(op operation, do func(int) error) (ns, allocs float64) {
	check(d.b, d.host.reset())
	if op.rows != nil {
		d.rows = op.rows(op.times)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	for i := range op.times {
		check(d.b, do(i))
	}
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	return float64(took) / float64(op.times), float64(after.Mallocs-before.Mallocs) / float64(op.times)
}

func (d *duel) operations() []operation {
	ctx, users, pgx := d.ctx, d.users, d.pgx
	inOrder, byAge := users.Where().OrderBy(userID.Asc()), users.Where().OrderBy(userAge.Asc()).Limit(50)
	first, err := byAge.Page(ctx)
	check(d.b, err)
	last := first.Rows[49]
	several := func(n int) func(int) []user { return func(int) []user { return d.fresh(n) } }
	return []operation{
		versus("insert one", 20, d.fresh,
			func(i int) error { return users.Insert(ctx, &d.rows[i]) },
			func(i int) error { return pgx.insert(&d.rows[i]) }),
		versus("get by key", 50, nil,
			func(i int) error { _, err := users.Get(ctx, int64(100+i)); return err },
			func(i int) error { _, err := pgx.get(int64(100 + i)); return err }),
		versus("list 100", 10, nil,
			func(int) error { return number(100)(inOrder.Limit(100).All(ctx)) },
			func(int) error { return number(100)(pgx.list(100)) }),
		versus("list 10,000", 1, nil,
			func(int) error { return number(10_000)(inOrder.Limit(10_000).All(ctx)) },
			func(int) error { return number(10_000)(pgx.list(10_000)) }),
		versus("filtered list", 10, nil,
			func(i int) error { return number(20)(d.filter("user1%", 2+i, new("nick99"))) },
			func(i int) error { return number(20)(pgx.filter("user1%", 2+i, new("nick99"))) }),
		versus("keyset page", 10, nil,
			func(int) error { page, err := byAge.After(first.Next).Page(ctx); return number(50)(page.Rows, err) },
			func(int) error { return number(50)(pgx.page(last, 50)) }),
		versus("count", 5, nil,
			func(int) error { return is(int64(9990))(users.Where(userAge.Ge(45)).Count(ctx)) },
			func(int) error { return is(int64(9990))(pgx.count(45)) }),
		versus("exists", 50, nil,
			func(int) error { return is(true)(users.Where(userEmail.Eq("user77")).Exists(ctx)) },
			func(int) error { return is(true)(pgx.exists("user77")) }),
		versus("update one", 20, d.stored,
			func(i int) error { d.rows[i].Age++; return users.Update(ctx, &d.rows[i]) },
			func(i int) error { d.rows[i].Age++; return pgx.update(&d.rows[i]) }),
		versus("partial update", 20, d.stored,
			func(i int) error { return is(int64(1))(d.patch(d.rows[i].ID)) },
			func(i int) error { return is(int64(1))(pgx.patch(d.rows[i].ID, new("al"), 1)) }),
		versus("upsert one", 20, d.known,
			func(i int) error { return is(false)(users.Upsert(ctx, &d.rows[i], userEmail)) },
			func(i int) error { return pgx.upsert(&d.rows[i]) }),
		versus("delete one", 20, d.stored,
			func(i int) error { return users.Purge(ctx, d.rows[i].ID) },
			func(i int) error { return is(int64(1))(pgx.delete(d.rows[i].ID)) }),
		versus("transaction of 3", 10, d.stored,
			func(i int) error { return d.three(d.rows[i].ID) },
			func(i int) error { return pgx.three(d.rows[i].ID) }),
		versus("bulk insert 1,000", 1, several(1000),
			func(int) error { return users.InsertAll(ctx, d.rows) },
			func(int) error { return pgx.insertAll(d.rows) }),
		versus("bulk insert 10,000", 1, several(10_000),
			func(int) error { return users.InsertAll(ctx, d.rows) },
			func(int) error { return pgx.insertAll(d.rows) }),
		versus("copy 10,000", 1, several(10_000),
			func(int) error { return is(int64(10_000))(users.Copy(ctx, slices.Values(d.rows))) },
			func(int) error { return is(int64(10_000))(pgx.copy(d.rows)) }),
		versus("bulk upsert 1,000", 1, func(int) []user { return append(d.known(500), d.fresh(500)...) },
			func(int) error { return is(int64(1000))(users.UpsertAll(ctx, d.rows, userEmail)) },
			func(int) error { return is(int64(1000))(pgx.upsertAll(d.rows)) }),
	}
}

// is and number check a result.
func is[V comparable](right V) func(V, error) error {
	return func(v V, err error) error { return want(err, v == right) }
}

func number(n int) func([]user, error) error {
	return func(rows []user, err error) error { return want(err, len(rows) == n) }
}

func want(err error, right bool) error {
	if err == nil && !right {
		err = errors.New("wrong result")
	}
	return err
}

// filter lists users by conditions of which some are given.
func (d *duel) filter(like string, age int, not *string) ([]user, error) {
	q := d.users.Where()
	if like != "" {
		q = q.Where(repo.Like(userEmail, like))
	}
	if age > 0 {
		q = q.Where(userAge.Ge(age))
	}
	if not != nil {
		q = q.Where(userNick.Ne(not))
	}
	return q.OrderBy(userID.Asc()).Limit(20).All(d.ctx)
}

func (d *duel) patch(id int64) (int64, error) {
	return d.users.ByKey(id).Update(d.ctx, userNick.Set(new("al")), repo.Add(userAge, 1))
}

// three reads a user, changes it, and stores another one.
func (d *duel) three(id int64) error {
	return d.db.InTx(d.ctx, func(tx *pgdbm.Tx) error {
		users := d.users.In(tx)
		u, err := users.Get(d.ctx, id)
		if err != nil {
			return err
		}
		if _, err := users.ByKey(u.ID).Update(d.ctx, userNick.Set(nil), repo.Add(userAge, 1)); err != nil {
			return err
		}
		return users.Insert(d.ctx, &user{Email: u.Email + " copy"})
	})
}

// fresh makes rows that are not there.
func (d *duel) fresh(n int) []user {
	rows := manyUsers(n)
	for i := range rows {
		d.made++
		rows[i].Email = fmt.Sprint("fresh", d.made)
	}
	return rows
}

// stored makes rows that are there.
func (d *duel) stored(n int) []user {
	rows := d.fresh(n)
	check(d.b, d.host.insertAll(rows))
	return rows
}

// known makes rows with the emails of others that are there.
func (d *duel) known(n int) []user {
	rows := d.stored(n)
	for i, u := range rows {
		rows[i] = user{Email: u.Email, Age: u.Age + 1, Nick: u.Nick}
	}
	return rows
}
