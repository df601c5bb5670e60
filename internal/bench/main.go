// Command bench compares this repository with hand-written pgx, bun, gorm and
// sqlx: the same operations on the same table of the same server, in turns.
//
//	cd internal/bench && go run . -rounds 21
//
// It starts a private PostgreSQL, which it reaches through TCP, or uses the one that
// -dsn names, where it makes and drops a schema named bench_libraries. With -replay
// it measures the client alone, with -delay as over a network. The report is Markdown.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

const schema = "bench_libraries"

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 21, "rounds of all operations; the medians over them are reported")
	flag.StringVar(&o.dsn, "dsn", "", "connection string of a server; a private one by default")
	flag.StringVar(&o.run, "run", ".", "regular expression of the operations")
	flag.StringVar(&o.against, "against", ".", "regular expression of the libraries; pgx always runs")
	flag.BoolVar(&o.replay, "replay", false, "measure the client alone, on answers that the server gave once: pgx and this repository only")
	flag.DurationVar(&o.delay, "delay", 0, "how much later the server gets what it is sent, as if it were far away: pgx and this repository only")
	flag.StringVar(&o.profile, "cpuprofile", "", "file for a CPU profile of everything that is measured")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1)
	}
}

type options struct {
	rounds       int
	dsn          string
	run, against string
	replay       bool
	delay        time.Duration
	profile      string
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	operation, err := regexp.Compile(o.run)
	if err != nil {
		return err
	}
	library, err := regexp.Compile(o.against)
	if err != nil {
		return err
	}
	private := o.dsn == ""
	if private {
		server, err := embedded.Start(ctx, embedded.Config{Private: true, TCP: true})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, server.Close(context.WithoutCancel(ctx))) }()
		o.dsn = server.ConnString("postgres")
	}
	conn, err := pgx.Connect(ctx, o.dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	// Clients are compared, not disks, nor the limits that this framework sets: each
	// costs the server a timer for every statement. A server of somebody else's stays
	// as it is.
	commits := "waited for"
	if private {
		commits = "not waited for"
		for _, setting := range []string{"synchronous_commit = off", "statement_timeout = '60s'", "lock_timeout = '5s'", "idle_in_transaction_session_timeout = '60s'"} {
			if _, err := conn.Exec(ctx, "alter database postgres set "+setting); err != nil {
				return err
			}
		}
	}
	table, err := newTable(ctx, conn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, table.drop(context.WithoutCancel(ctx))) }()
	m := &meter{table: table, replays: o.replay, rounds: o.rounds}
	if o.replay {
		commits = "replayed like all answers"
	}
	if o.delay > 0 {
		commits += fmt.Sprintf(", the server %s away", o.delay)
	}
	if o.replay || o.delay > 0 {
		m.tapes = map[Library]*tape{}
	}
	err = m.open(ctx, o.dsn, o.delay, library)
	defer func() {
		for _, l := range m.libraries {
			l.Close()
		}
	}()
	if err != nil {
		return err
	}
	version, err := table.version(ctx)
	if err != nil {
		return err
	}
	if o.profile != "" {
		file, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	results, err := m.all(ctx, operation)
	if err != nil {
		return err
	}
	return report(out, results, m.libraries, describe(version, commits, o.rounds))
}

// open connects the libraries; the first one is hand-written pgx.
func (m *meter) open(ctx context.Context, dsn string, delay time.Duration, wanted *regexp.Regexp) error {
	untaped := func(open func(context.Context, string) (Library, error)) func(context.Context, string, *tape) (Library, error) {
		return func(ctx context.Context, dsn string, _ *tape) (Library, error) { return open(ctx, dsn) }
	}
	for i, l := range []struct {
		name  string
		tapes bool
		open  func(context.Context, string, *tape) (Library, error)
	}{
		{"pgx", true, openRaw},
		{"repo", true, openRepo},
		{"bun", false, untaped(openBun)},
		{"gorm", false, untaped(openGorm)},
		{"sqlx", false, untaped(openSqlx)},
	} {
		if i > 0 && !wanted.MatchString(l.name) || m.tapes != nil && !l.tapes {
			continue
		}
		var t *tape
		if m.tapes != nil {
			t = &tape{delay: delay}
		}
		opened, err := l.open(ctx, dsn, t)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		m.libraries = append(m.libraries, opened)
		if t != nil {
			m.tapes[opened] = t
		}
	}
	return nil
}

// describe says where and when it was measured.
func describe(version, commits string, rounds int) string {
	load := "unknown"
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(text))[:3], " ")
	}
	return fmt.Sprintf("PostgreSQL %s, %s, load average %s, commits %s, %d rounds", version, machine(), load, commits, rounds)
}

func machine() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown machine"
	}
	defer func() { _ = file.Close() }()
	model, cores := "", 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		switch strings.TrimSpace(name) {
		case "model name":
			model = strings.TrimSpace(value)
		case "processor":
			cores++
		}
	}
	return fmt.Sprintf("%d cores of %s", cores, model)
}
