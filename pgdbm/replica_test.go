package pgdbm_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

const whoAnswers = "select case when pg_is_in_recovery() then 'standby' else 'primary' end"

func TestReplica(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	log := &logBuffer{}
	m := bind(t, open(t, pgdbm.Config{
		ConnString: c.ConnString(), ReplicaConnString: c.Standby.ConnString(), Logger: log.logger(), Watchdog: 2 * time.Second,
	}), "app")
	exec(t, m, "create table {{tables.items}} (id int primary key)")
	ctx := t.Context()
	created, err := m.Token(ctx)
	testkit.NoError(t, err)
	onStandby(t, m, created) // it has the table

	// A read that was told what it must see sees it, whoever answers.
	stale, primary := 0, 0
	for i := range 200 {
		exec(t, m, "insert into {{tables.items}} values ($1)", i)
		token, err := m.Token(ctx)
		testkit.NoError(t, err)
		seen, err := pgdbm.FetchValue[bool](ctx, m.Replica(""), "select exists (select from {{tables.items}} where id = $1)", i)
		testkit.NoError(t, err)
		if !seen {
			stale++
		}
		got, err := pgdbm.FetchOne[struct {
			Seen bool
			Who  string
		}](ctx, m.Replica(token), "select exists (select from {{tables.items}} where id = $1) as seen, ("+whoAnswers+") as who", i)
		testkit.NoError(t, err)
		if !got.Seen {
			t.Fatal("a read with a token is stale")
		}
		if got.Who == "primary" {
			primary++
		}
	}
	t.Logf("200 reads right after a write: %d were stale without a token, none with one, for which %d went to the primary", stale, primary)

	staleReplica(t, c, m)
	interrupted(t, c, m)
	onStandby(t, m, "")
	readsOnly(t, m)

	// The replica dies: reads go to the primary, and come back.
	c.SetSynchronous(t, false)
	const away = "replica unavailable, reads go to the primary"
	before := strings.Count(log.String(), away) // on a busy machine it may have been slow already
	c.Standby.Freeze(t)
	begin := time.Now()
	testkit.Equal(t, who(t, m, ""), "primary")
	t.Logf("| replica frozen, Watchdog 2 s | none | %s: the read goes to the primary | – |", time.Since(begin).Round(time.Millisecond))
	for range 50 {
		testkit.Equal(t, who(t, m, ""), "primary")
	}
	readsOnly(t, m)
	if n := strings.Count(log.String(), away) - before; n != 1 {
		t.Errorf("said %d times that the replica is away: %s", n, log)
	}
	c.Standby.Thaw(t)
	onStandby(t, m, "")
	if !strings.Contains(log.String(), "replica available again") {
		t.Errorf("log: %s", log)
	}
}

// who answers a read.
func who(t *testing.T, m *pgdbm.Manager, token string) string {
	t.Helper()
	who, err := pgdbm.FetchValue[string](t.Context(), m.Replica(token), whoAnswers)
	testkit.NoError(t, err)
	return who
}

// onStandby waits until a read goes to the standby, for which a busy machine may
// need more than 25 ms.
func onStandby(t *testing.T, m *pgdbm.Manager, token string) {
	t.Helper()
	testkit.Eventually(t, "reads do not go to the replica", func() bool { return who(t, m, token) == "standby" })
}

// staleReplica holds replay up, and shows who then reads where.
func staleReplica(t *testing.T, c *testkit.Cluster, m *pgdbm.Manager) {
	t.Helper()
	ctx := t.Context()
	before, err := m.Token(ctx)
	testkit.NoError(t, err)
	c.Standby.Exec(t, "select pg_wal_replay_pause()")
	exec(t, m, "insert into {{tables.items}} values (1000)")
	after, err := m.Token(ctx)
	testkit.NoError(t, err)
	const query = "select (" + whoAnswers + ") || ' ' || exists (select from {{tables.items}} where id = 1000)"
	for token, want := range map[string]string{"": "standby false", before: "standby false", after: "primary true"} {
		testkit.Eventually(t, "not as it should be: "+want, func() bool {
			got, err := pgdbm.FetchValue[string](ctx, m.Replica(token), query)
			testkit.NoError(t, err)
			return got == want
		})
		testkit.Eventually(t, "not as it should be in a transaction: "+want, func() (ok bool) {
			testkit.NoError(t, m.Replica(token).InTx(ctx, func(tx *pgdbm.Tx) error {
				got, err := pgdbm.FetchValue[string](ctx, m.In(tx), query)
				ok = got == want
				return err
			}))
			return ok
		})
	}
	for range 20 {
		testkit.Equal(t, who(t, m, after), "primary")
	}
	c.Standby.Exec(t, "select pg_wal_replay_resume()")
	onStandby(t, m, after)
}

// interrupted shows that a read which the replica does not finish goes on on the
// primary.
func interrupted(t *testing.T, c *testkit.Cluster, m *pgdbm.Manager) {
	t.Helper()
	c.Standby.Exec(t, "alter system set max_standby_streaming_delay to 0", "select pg_reload_conf()")
	for name, stop := range map[string]func(){
		"its session is terminated": func() {
			c.Standby.Exec(t, "select pg_terminate_backend(pid) from pg_stat_activity where query like '%slow read%' and pid <> pg_backend_pid()")
		},
		"its rows are vacuumed away": func() {
			exec(t, m, "delete from {{tables.items}} where id < 100")
			exec(t, m, "vacuum {{tables.items}}")
		},
	} {
		onStandby(t, m, "") // the connection is there
		got := make(chan error)
		go func() {
			// On the primary it is quick: it sleeps only on a standby.
			who, err := pgdbm.FetchValue[string](t.Context(), m.Replica(""),
				"select ("+whoAnswers+") from (select pg_sleep(case when pg_is_in_recovery() then 60 else 0 end)) slow, (select count(*) from {{tables.items}}) read /* slow read */")
			if err == nil && who != "primary" {
				err = errors.New("the " + who + " answered")
			}
			got <- err
		}()
		testkit.Eventually(t, "nobody reads", func() bool {
			n, err := count(t.Context(), c.Standby.ConnString(), "select count(*) from pg_stat_activity where query like '%slow read%' and state = 'active' and wait_event = 'PgSleep' and pid <> pg_backend_pid()")
			return err == nil && n == 1
		})
		testkit.Eventually(t, name+": the read goes on", func() bool {
			stop() // again and again: what others still see is not vacuumed
			select {
			case err := <-got:
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				return true
			default:
				return false
			}
		})
	}
}

func count(ctx context.Context, connString, query string) (n int, err error) {
	conn, err := pgx.Connect(ctx, connString)
	if err != nil {
		return 0, err
	}
	return n, errors.Join(conn.QueryRow(ctx, query).Scan(&n), conn.Close(ctx))
}

// readsOnly shows that nothing can be written, wherever a read goes.
func readsOnly(t *testing.T, m *pgdbm.Manager) {
	t.Helper()
	ctx, db := t.Context(), m.Replica("")
	const write = "insert into {{tables.items}} values (2000)"
	batch := &pgx.Batch{}
	batch.Queue("select 1")
	batch.Queue(write)
	for name, fn := range map[string]func() error{
		"Exec":     func() error { return second(db.Exec(ctx, write)) },
		"Query":    func() error { return second(pgdbm.FetchAll[int](ctx, db, write+" returning id")) },
		"QueryRow": func() error { return db.QueryRow(ctx, write+" returning id").Scan(new(int)) },
		"Batch":    func() error { return db.SendBatch(ctx, batch).Close() },
		"CopyFrom": func() error {
			return second(db.CopyFrom(ctx, "items", []string{"id"}, pgx.CopyFromRows([][]any{{2000}})))
		},
		"InTxWith": func() error {
			opts := pgdbm.TxOptions{Isolation: pgx.Serializable, SearchPath: true, Attempts: 3}
			return db.InTxWith(ctx, opts, func(tx *pgdbm.Tx) error { return second(tx.Exec(ctx, "insert into items values (2000)")) })
		},
		"InTx": func() error {
			return db.InTx(ctx, func(tx *pgdbm.Tx) error { return second(tx.Exec(ctx, write)) })
		},
	} {
		if err := fn(); !errors.Is(err, pgdbm.ErrReadOnly) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, level := range []pgx.TxIsoLevel{"", pgx.RepeatableRead, pgx.Serializable} {
		testkit.NoError(t, db.InTxWith(ctx, pgdbm.TxOptions{Isolation: level, SearchPath: true}, func(tx *pgdbm.Tx) error {
			return second(pgdbm.FetchAll[int](ctx, tx, "select id from items"))
		}))
	}
	reads := &pgx.Batch{}
	reads.Queue("select 7")
	reads.Queue("select count(*) from {{tables.items}}")
	results := db.SendBatch(ctx, reads)
	var seven, n int
	testkit.NoError(t, errors.Join(results.QueryRow().Scan(&seven), results.QueryRow().Scan(&n), results.Close()))
	testkit.Equal(t, seven, 7)
	if got, err := pgdbm.FetchAll[int](ctx, db, "select id from {{tables.items}}"); err != nil || len(got) != n {
		t.Errorf("%d rows, want %d, %v", len(got), n, err)
	}
	exec(t, m, "insert into {{tables.items}} values (3000)") // the guard has not stayed
	exec(t, m, "delete from {{tables.items}} where id = 3000")
}

func TestReplicaWithoutOneIsThePrimaryReadOnly(t *testing.T) {
	t.Parallel()
	b, direct := bouncer(t, "2")
	for _, connString := range []string{direct, b.ConnString()} {
		m := bind(t, open(t, pgdbm.Config{ConnString: connString}), "app")
		exec(t, m, "create table if not exists {{tables.items}} (id int)")
		readsOnly(t, m)
		token, err := m.Token(t.Context())
		testkit.NoError(t, err)
		testkit.NoError(t, second(m.Replica(token).Exec(t.Context(), "select 1")))
	}
}

// A standby that is not there costs a read 25 ms, and that once a second.
func TestReplicaThatWasNeverThere(t *testing.T) {
	t.Parallel()
	log := &logBuffer{}
	m := bind(t, open(t, pgdbm.Config{
		ConnString: testkit.ConnString(t), ReplicaConnString: "host=127.0.0.1 port=1 user=postgres password=" + secret, Logger: log.logger(),
	}), "")
	for range 10 {
		testkit.NoError(t, second(pgdbm.FetchAll[int](t.Context(), m.Replica(""), "select 1")))
	}
	if n := strings.Count(log.String(), "replica unavailable"); n != 1 || strings.Contains(log.String(), secret) {
		t.Errorf("log: %s", log)
	}
}

func TestTokenIsChecked(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{}), "")
	ctx := t.Context()
	token, err := m.Token(ctx)
	testkit.NoError(t, err)
	if len(token) != 16 {
		t.Errorf("%q", token)
	}
	testkit.NoError(t, second(m.Replica(token).Exec(ctx, "select 1")))
	for _, bad := range []string{"0", "0/16B3748", token + "0", strings.Repeat("F", 16), "-" + token[1:], "'; drop table x", strings.Repeat("g", 16)} {
		db := m.Replica(bad)
		b := &pgx.Batch{}
		b.Queue("select 1")
		for _, err := range []error{
			second(db.Exec(ctx, "select 1")), second(db.Query(ctx, "select 1")), db.QueryRow(ctx, "select 1").Scan(nil),
			db.SendBatch(ctx, b).Close(), db.InTx(ctx, func(*pgdbm.Tx) error { return nil }),
		} {
			testkit.ErrorIs(t, err, pgdbm.ErrInvalid)
			testkit.ErrorContains(t, err, "Replica: the token is none that Token returned")
			if strings.Contains(fmt.Sprint(err), bad) && len(bad) > 1 {
				t.Errorf("the message repeats what came from outside: %v", err)
			}
		}
	}
	testkit.ErrorContains(t, second(m.Replica("").Exec(ctx, "select $1::int", pgx.QueryExecModeExec, 1)), "query options such as pgx.QueryExecMode are not supported")
}

func TestReplicaConnStringIsChecked(t *testing.T) {
	t.Parallel()
	_, err := pgdbm.New(pgdbm.Config{ConnString: "host=localhost", ReplicaConnString: "host=x port=none password=" + secret})
	testkit.ErrorContains(t, err, "pgdbm: config: ReplicaConnString: the port is not a number")
	if strings.Contains(err.Error(), secret) {
		t.Errorf("the error shows the password: %v", err)
	}
}
