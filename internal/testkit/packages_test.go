package testkit_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

// Two hundred tests in four packages at once, as go test ./... runs them, on a
// server that is not there yet. One of the packages is killed. The others pass,
// the next process finds nothing but templates, and then the server goes.
func TestFourPackagesAtOnce(t *testing.T) {
	t.Parallel()
	switch what := os.Getenv(helperVariable); what {
	case "":
	case "next":
		nextPackage(t)
		return
	default:
		onePackage(t, what)
		return
	}
	if testing.Short() {
		t.Skip("it runs 200 tests")
	}
	begin := time.Now()
	dir, env := embeddedServer(t, "2s")
	packages := make([]*testPackage, 4)
	for i := range packages {
		packages[i] = startPackage(t, i, env)
	}
	victim := packages[2]
	for range 10 {
		testkit.NoError(t, victim.waitForTest())
	}
	testkit.NoError(t, victim.cmd.Process.Kill())
	databases := 0
	for i, p := range packages {
		err := p.end()
		if killed := i == 2; (err != nil) != killed {
			t.Errorf("package %d: %v\n%s", i, err, p.out.String())
		}
		n := p.databases(t)
		t.Logf("package %d made %d databases for %d tests", i, n, strings.Count(p.out.String(), "has pgdbm_t_"))
		databases += n
	}
	tests := time.Since(begin)
	testkit.Equal(t, len(postmasters(t, dir)), 1)
	// A process that ended a moment ago still has its lease until the server notices.
	const clients = `SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name <> 'pgdbm watchdog'`
	testkit.Eventually(t, "the ended processes have sessions", func() bool { return query[int](t, victim.server(t), clients) == 0 })

	out, err := again(t, "next", env...).CombinedOutput()
	if err != nil {
		t.Errorf("the next package: %v\n%s", err, out)
	}
	sweep := time.Since(begin) - tests
	testkit.Eventually(t, "the server stops", func() bool { return len(postmasters(t, dir)) == 0 })
	t.Logf("%d databases; tests %s, next package %s, stopped after %s", databases,
		tests.Round(time.Millisecond), sweep.Round(time.Millisecond), (time.Since(begin) - tests - sweep).Round(time.Millisecond))
}

// onePackage is what a killed or passing package does: 50 tests, all at once, of
// the same two kinds of databases as the other packages.
func onePackage(t *testing.T, which string) {
	t.Helper()
	for i := range 50 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			tpl := sqlTemplate(fmt.Sprintf("packages %d", i%2), "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY, name text)")
			d := testkit.New(t, tpl)
			_, err := fmt.Fprintf(os.Stdout, "test %s has %s at %s\n", t.Name(), d.Name(), d.Address())
			testkit.NoError(t, err)
			pool := d.Lend()
			switch i % 10 {
			case 3:
				pool = d.Pool()
			case 7:
				execute(t, d.ConnString(), "CREATE TABLE more (id int)")
			}
			var mine []string
			for n := range 3 {
				name := fmt.Sprintf("%s/%s/%d", which, t.Name(), n)
				mine = append(mine, name)
				_, err := pool.Exec(t.Context(), "INSERT INTO t (name) VALUES ($1)", name)
				testkit.NoError(t, err)
			}
			rows, err := pool.Query(t.Context(), "SELECT name FROM t ORDER BY id")
			testkit.NoError(t, err)
			names, err := pgx.CollectRows(rows, pgx.RowTo[string])
			testkit.NoError(t, err)
			testkit.Equal(t, names, mine)
		})
	}
}

// nextPackage is the first package of the next run.
func nextPackage(t *testing.T) {
	t.Helper()
	d := testkit.New(t, testkit.Template{})
	own := testkit.Leased.FindStringSubmatch(d.Name())[1]
	testkit.Eventually(t, "databases of ended processes are left", func() bool {
		const others = `SELECT count(*) FROM pg_database WHERE datname LIKE 'pgdbm\_t\_%' AND datname NOT LIKE 'pgdbm\_t\_' || $1 || '\_%'`
		return query[int](t, d.ConnString(), others, own) == 0
	})
	const templates = `SELECT count(*) FROM pg_database WHERE datname LIKE 'pgdbm\_tpl\_%' AND datistemplate`
	testkit.Equal(t, query[int](t, d.ConnString(), templates), 3) // two of the tests, and the empty one
	const all = `SELECT count(*) FROM pg_database WHERE datname NOT LIKE 'pgdbm\_t\_%'`
	testkit.Equal(t, query[int](t, d.ConnString(), all), 3+3) // postgres, template0 and template1
}

// testPackage is a test binary that runs.
type testPackage struct {
	cmd   *exec.Cmd
	tests chan struct{} // one for each that has a database
	read  sync.WaitGroup
	out   bytes.Buffer // once it has ended
}

func startPackage(t *testing.T, i int, env []string) *testPackage {
	t.Helper()
	p := &testPackage{cmd: again(t, fmt.Sprint(i), env...), tests: make(chan struct{}, 50)}
	out, err := p.cmd.StdoutPipe()
	testkit.NoError(t, err)
	p.cmd.Stderr = os.Stderr
	p.cmd.Args = append(p.cmd.Args, "-test.parallel=50")
	testkit.NoError(t, p.cmd.Start())
	p.read.Go(func() {
		defer close(p.tests)
		lines := bufio.NewScanner(io.TeeReader(out, &p.out))
		for lines.Scan() {
			if strings.Contains(lines.Text(), " has pgdbm_t_") {
				p.tests <- struct{}{}
			}
		}
	})
	return p
}

// waitForTest waits until one test more has a database.
func (p *testPackage) waitForTest() error {
	if _, ok := <-p.tests; !ok {
		return fmt.Errorf("the package has ended: %s", p.out.String())
	}
	return nil
}

// end waits until the package has ended.
func (p *testPackage) end() error {
	p.read.Wait()
	return p.cmd.Wait()
}

// server returns the address of the server that the package used.
func (p *testPackage) server(t *testing.T) string {
	t.Helper()
	m := regexp.MustCompile(` at (\S+)`).FindStringSubmatch(p.out.String())
	if m == nil {
		t.Fatalf("no address in: %s", p.out.String())
	}
	u, err := url.Parse(m[1])
	testkit.NoError(t, err)
	u.Path = "/postgres"
	return u.String()
}

// databases returns how many databases the package has made, as their numbers
// tell.
func (p *testPackage) databases(t *testing.T) (most int) {
	t.Helper()
	for _, m := range regexp.MustCompile(`has pgdbm_t_\d+_(\d+)`).FindAllStringSubmatch(p.out.String(), -1) {
		n, err := strconv.Atoi(m[1])
		testkit.NoError(t, err)
		most = max(most, n)
	}
	return most
}
