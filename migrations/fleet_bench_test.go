package migrations_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

// BenchmarkFleet measures what docs/operations.md says of tenants, on a private
// server without fsync:
//
//	PGDBM_BENCH_TENANTS=5000 go test ./migrations -run '^$' -bench Fleet -benchtime 1x -timeout 60m
//
// 5,000 take a quarter of an hour and 3 GB of disk. The default is 100.
// PGDBM_BENCH_RTT=1ms puts a network with that round trip in between.
func BenchmarkFleet(b *testing.B) {
	n := 100
	if s := os.Getenv("PGDBM_BENCH_TENANTS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	server, err := embedded.Start(b.Context(), embedded.Config{Private: true, Settings: map[string]string{
		"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "4GB",
	}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = server.Close(context.Background()) }()
	f := &fleet{b: b, n: n, sent: &statements{}, files: fstest.MapFS{}}
	conn := server.ConnString("postgres")
	if s := os.Getenv("PGDBM_BENCH_RTT"); s != "" {
		rtt, err := time.ParseDuration(s)
		if err != nil {
			b.Fatal(err)
		}
		conn = distant(b, conn, rtt/2)
	}
	f.pool = open(b, pgdbm.Config{ConnString: conn, MaxConns: 4, StatementTimeout: time.Hour, Tracers: []pgx.QueryTracer{f.sent}})
	pid := value[string](b, f.pool, "select pg_backend_pid()::text")
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		b.Skip("the processes of the server cannot be seen")
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	f.postmaster = strings.Fields(rest)[1]
	for b.Loop() {
		f.measure()
	}
}

const fleetTables = 10

// fleet is what is being measured.
type fleet struct {
	b     *testing.B
	n     int
	pool  *pgdbm.Pool
	sent  *statements
	files fstest.MapFS

	postmaster string // its process id
}

// add adds a file and returns the tenants with it.
func (f *fleet) add(sql string) *migrations.Tenants {
	f.files[fmt.Sprintf("%d_x.sql", len(f.files)+1)] = &fstest.MapFile{Data: []byte(sql)}
	return tenants(f.b, f.pool, f.files, migrations.Config{})
}

// alter returns two statements that do the same for one table of a tenant.
func (f *fleet) alter(column string) string {
	return fmt.Sprintf("alter table {{tables.t3}} add column %s int; create index on {{tables.t3}} (%[1]s)", column)
}

func (f *fleet) measure() {
	var ts *migrations.Tenants
	for i := range fleetTables {
		ts = f.add(fmt.Sprintf("create table {{tables.t%d}} (id bigint generated always as identity primary key, name text not null, at timestamptz not null default now()); create index on {{tables.t%[1]d}} (name)", i))
	}
	all := ids(f.n)
	f.timed("provision, 4 workers", func() { provision(f.b, ts, all) })
	f.printf("%d relations, database %s, %s", value[int](f.b, f.pool, "select count(*) from pg_class"),
		value[string](f.b, f.pool, "select pg_size_pretty(pg_database_size(current_database()))"), value[string](f.b, f.pool, "select version()"))
	f.nothing(ts, all)
	exec(f.b, f.pool, "vacuum analyze pg_catalog.pg_class, pg_catalog.pg_namespace, pg_catalog.pg_description")
	f.printf("after vacuum analyze of the catalog:")
	f.nothing(ts, all)
	for round := range 3 {
		f.pending(round)
	}
	f.memory()
}

// printf prints a line: a benchmark's log is cut after ten.
func (*fleet) printf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// timed logs what do takes: on the clock, and of the processors' time, here and in
// the server's processes that have ended by then. The machine may be busy with
// something else.
func (f *fleet) timed(what string, do func()) {
	f.b.Helper()
	others := func() int { return f.clients() - int(f.pool.Stat().TotalConns()) }
	before := others()
	client, server, start := f.processors()
	do()
	dur := time.Since(start)
	client2, _, _ := f.processors()
	testkit.Eventually(f.b, "the processes of the workers do not end", func() bool {
		return others() <= before
	})
	_, server2, _ := f.processors()
	each := func(d time.Duration) float64 { return d.Seconds() * 1000 / float64(f.n) }
	f.printf("%-50s %9s %7.0f tenants/s; CPU each: server %.2f ms, client %.2f ms",
		what, dur.Round(time.Millisecond), float64(f.n)/dur.Seconds(), each(server2-server), each(client2-client))
}

// processors returns the CPU time of this process and of the server's former
// processes.
func (f *fleet) processors() (client, server time.Duration, at time.Time) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		f.b.Fatal(err)
	}
	ticks := func(field int) time.Duration {
		text, err := os.ReadFile("/proc/" + f.postmaster + "/stat")
		if err != nil {
			f.b.Fatal(err)
		}
		n, _ := strconv.Atoi(strings.Fields(string(text))[field])
		return time.Duration(n) * 10 * time.Millisecond
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), ticks(15) + ticks(16), time.Now()
}

// clients returns how many processes of the server serve clients. One that has
// ended counts until its time has been added to the server's.
func (f *fleet) clients() (n int) {
	children, err := os.ReadFile("/proc/" + f.postmaster + "/task/" + f.postmaster + "/children")
	if err != nil {
		f.b.Fatal(err)
	}
	for pid := range strings.FieldsSeq(string(children)) {
		title, err := os.ReadFile("/proc/" + pid + "/cmdline")
		if err == nil && (len(title) == 0 || strings.HasPrefix(string(title), "postgres: postgres ")) { // a zombie has none
			n++
		}
	}
	return n
}

// nothing measures a start with nothing to do.
func (f *fleet) nothing(ts *migrations.Tenants, all []string) {
	var up, status []time.Duration
	for range 7 {
		f.sent.reset()
		start := time.Now()
		if r := fanOut(f.b, ts, migrations.FanOut{}); r.Current != f.n {
			f.b.Fatal(r)
		}
		up = append(up, time.Since(start))
		start = time.Now()
		if _, err := ts.Status(f.b.Context()); err != nil {
			f.b.Fatal(err)
		}
		status = append(status, time.Since(start))
	}
	slices.Sort(up)
	slices.Sort(status)
	f.printf("statements of Up and Status: %d", len(f.sent.list))
	f.printf("Up with nothing to do %s, Status %s (median and smallest of 7: %s, %s)", up[3], status[3], up[0], status[0])
	f.timed("Up of a list with nothing to do", func() {
		if r := fanOut(f.b, ts, migrations.FanOut{Only: all}); r.Current != f.n {
			f.b.Fatal(r)
		}
	})
	f.timed("Ensure, one by one", func() {
		for _, id := range all {
			if err := ts.Ensure(f.b.Context(), id); err != nil {
				f.b.Fatal(err)
			}
		}
	})
	f.byHand("reading each tenant's history, one by one", "select version from {{schema}}.pgdbm_migrations order by version")
}

// byHand runs statements for one tenant after the other on one connection.
func (f *fleet) byHand(what string, statements ...string) {
	f.b.Helper()
	f.timed(what, func() {
		conn, err := pgx.Connect(f.b.Context(), f.pool.Pgx().Config().ConnString())
		if err != nil {
			f.b.Fatal(err)
		}
		defer func() { _ = conn.Close(context.Background()) }()
		for _, id := range ids(f.n) {
			for _, sql := range statements {
				if _, err := conn.Exec(f.b.Context(), strings.NewReplacer("{{schema}}", "t_"+id, "{{tables.t3}}", "t_"+id+".t3").Replace(sql), pgx.QueryExecModeExec); err != nil {
					f.b.Fatal(err)
				}
			}
		}
	})
}

// pending measures a file of two statements: by the workers, by one worker, and by
// hand on one connection, with a transaction for each statement; there with a table
// of versions in each schema, which is read before and written after, and without
// any.
func (f *fleet) pending(round int) {
	for _, workers := range []int{4, 1} {
		if workers == 1 && round > 0 {
			continue
		}
		ts := f.add(f.alter(fmt.Sprintf("w%d_%d", workers, round)))
		f.timed(fmt.Sprintf("one pending file, %d workers, round %d", workers, round+1), func() {
			if r := fanOut(f.b, ts, migrations.FanOut{Workers: workers}); len(r.Migrated) != f.n {
				f.b.Fatal(r)
			}
		})
	}
	if round == 0 {
		f.byHand("(making tables of versions)", "create table {{schema}}.versions (version int primary key, at timestamptz not null default now()); insert into {{schema}}.versions values (-1)")
	}
	recorded := []string{"select version from {{schema}}.versions order by version"}
	for _, sql := range append(strings.Split(f.alter(fmt.Sprintf("v_%d", round)), "; "), fmt.Sprintf("insert into {{schema}}.versions values (%d)", round)) {
		recorded = append(recorded, "begin", sql, "commit")
	}
	f.byHand(fmt.Sprintf("a transaction per statement, recorded, round %d", round+1), recorded...)
	f.byHand(fmt.Sprintf("each statement by itself, unrecorded, round %d", round+1), strings.Split(f.alter(fmt.Sprintf("h_%d", round)), "; ")...)
}

// distant returns an address of the server through a network that takes so long in
// each direction.
func distant(b *testing.B, conn string, delay time.Duration) string {
	b.Helper()
	cfg, err := pgx.ParseConfig(conn)
	if err != nil {
		b.Fatal(err)
	}
	network, address := pgconn.NetworkAddress(cfg.Host, cfg.Port)
	l, err := new(net.ListenConfig).Listen(b.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := new(net.Dialer).DialContext(b.Context(), network, address)
			if err != nil {
				_ = near.Close()
				continue
			}
			go carry(far, near, delay)
			go carry(near, far, delay)
		}
	}()
	host, port, _ := net.SplitHostPort(l.Addr().String())
	return fmt.Sprintf("host=%s port=%s user=%s dbname=%s sslmode=disable", host, port, cfg.User, cfg.Database)
}

// carry copies what comes in, so much later.
func carry(to, from net.Conn, delay time.Duration) {
	type parcel struct {
		due  time.Time
		data []byte
	}
	parcels := make(chan parcel, 1024)
	go func() {
		defer func() { _ = to.Close() }()
		for p := range parcels {
			time.Sleep(time.Until(p.due)) //nolint:forbidigo // the network
			if _, err := to.Write(p.data); err != nil {
				return
			}
		}
	}()
	defer close(parcels)
	for {
		data := make([]byte, 16<<10)
		n, err := from.Read(data)
		if err != nil {
			return
		}
		parcels <- parcel{time.Now().Add(delay), data[:n]}
	}
}

// memory measures what the workers' backends hold at most, when every table is
// touched.
func (f *fleet) memory() {
	for _, c := range []migrations.FanOut{{Workers: 1, RecycleEvery: -1}, {Workers: 1}, {Workers: 4, RecycleEvery: -1}, {Workers: 4}} {
		var all []string
		for i := range fleetTables {
			all = append(all, fmt.Sprintf("alter table {{tables.t%d}} add column m%d int", i, len(f.files)))
		}
		ts := f.add(strings.Join(all, "; "))
		stop := make(chan struct{})
		var (
			wg   sync.WaitGroup
			peak backends
		)
		wg.Go(func() { peak = f.watch(stop) })
		f.timed(fmt.Sprintf("all tables altered, %d workers, RecycleEvery %d", c.Workers, c.RecycleEvery), func() {
			if r := fanOut(f.b, ts, c); len(r.Migrated) != f.n {
				f.b.Fatal(r)
			}
		})
		close(stop)
		wg.Wait()
		f.printf("    largest backend %d MB, all workers' %d MB (RssAnon), %d backends in turn", peak.one>>10, peak.sum>>10, len(peak.seen))
	}
}

// backends is the memory of backends in kB.
type backends struct {
	one, sum int
	seen     map[string]bool
}

// watch returns the peaks until it is stopped.
func (f *fleet) watch(stop <-chan struct{}) backends {
	peak := backends{seen: map[string]bool{}}
	for tick := time.Tick(200 * time.Millisecond); ; {
		select {
		case <-stop:
			return peak
		case <-tick:
		}
		pids := value[[]string](f.b, f.pool, "select coalesce(array_agg(pid::text), '{}') from pg_stat_activity where backend_type = 'client backend' and application_name like 'pgdbm-migrate%'")
		sum := 0
		for _, pid := range pids {
			peak.seen[pid] = true
			kb := anonymous(pid)
			sum += kb
			peak.one = max(peak.one, kb)
		}
		peak.sum = max(peak.sum, sum)
	}
}

// anonymous returns the memory of a process that it shares with nobody, in kB.
func anonymous(pid string) int {
	status, err := os.Open("/proc/" + pid + "/status")
	if err != nil {
		return 0 // it has ended
	}
	defer func() { _ = status.Close() }()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "RssAnon:"); ok {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0])
			return kb
		}
	}
	return 0
}
