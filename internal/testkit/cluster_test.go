package testkit_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

func ask[T any](t *testing.T, connString, query string) (T, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var value T
	conn, err := pgx.Connect(ctx, connString)
	if err != nil {
		return value, err
	}
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // nothing is lost with it
	return value, conn.QueryRow(ctx, query).Scan(&value)
}

func TestClusterSurvivesAllThatIsDoneToIt(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts two servers")
	}
	begin := time.Now()
	c := testkit.StartCluster(t)
	t.Logf("started in %s", time.Since(begin))
	c.SetSynchronous(t, true)
	c.Primary.Exec(t, "create table t as select 1 as n")
	for _, where := range []string{c.ConnString(), c.Primary.ConnString(), c.Standby.ConnString()} {
		n, err := ask[int](t, where, "select n from t")
		testkit.NoError(t, err)
		testkit.Equal(t, n, 1)
	}
	c.Primary.SetReadOnly(t, true)
	_, err := ask[int](t, c.Primary.ConnString(), "insert into t values (2) returning n")
	testkit.ErrorContains(t, err, "25006")
	c.Primary.SetReadOnly(t, false)
	c.Primary.Restart(t)
	c.Primary.Crash(t)
	testkit.Eventually(t, "it does not recover", func() bool {
		_, err := ask[int](t, c.Primary.ConnString(), "select n from t")
		return err == nil
	})
	c.Primary.Freeze(t)
	if _, err := ask[int](t, c.Primary.ConnString(), "select n from t"); err == nil {
		t.Error("a frozen server answers")
	}
	c.Primary.Thaw(t)
	_, err = ask[int](t, c.Primary.ConnString(), "select n from t")
	testkit.NoError(t, err)
	c.Primary.Kill(t)
	if _, err := ask[int](t, c.ConnString(), "select n from t"); err == nil {
		t.Error("a standby takes writes")
	}
	c.Standby.Promote(t)
	n, err := ask[int](t, c.ConnString(), "insert into t values (2) returning n")
	testkit.NoError(t, err)
	testkit.Equal(t, n, 2)
}

const childVariable = "PGDBM_CLUSTER_CHILD"

// A test process is killed while it has a pooler and a frozen primary.
func TestNothingOutlivesAKilledTest(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts two servers")
	}
	if os.Getenv(childVariable) != "" {
		c := testkit.StartCluster(t)
		b := testkit.StartPgBouncer(t, c.Primary.ConnString(), nil)
		pids := append(c.Primary.PIDs(t), c.Standby.PIDs(t)...)
		c.Primary.Freeze(t)
		_, err := fmt.Fprintln(os.Stdout, "pids", b.PID(), pids)
		testkit.NoError(t, err)
		select {} // until it is killed
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestNothingOutlivesAKilledTest$")
	cmd.Env = append(os.Environ(), childVariable+"=1")
	output, err := cmd.StdoutPipe()
	testkit.NoError(t, err)
	testkit.NoError(t, cmd.Start())
	var all string
	pids := map[int]string{} // and when they began: ids are used again
	for lines := bufio.NewScanner(output); len(pids) == 0 && lines.Scan(); {
		all += lines.Text() + "\n"
		if rest, ok := strings.CutPrefix(lines.Text(), "pids "); ok {
			for field := range strings.FieldsSeq(strings.NewReplacer("[", "", "]", "").Replace(rest)) {
				pid, err := strconv.Atoi(field)
				testkit.NoError(t, err)
				pids[pid] = testkit.Born(pid)
			}
		}
	}
	testkit.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed
	if len(pids) == 0 {
		t.Skipf("the child started nothing: %s", all)
	}
	var left []string
	testkit.Eventually(t, "processes are left", func() bool {
		left = nil
		for pid, born := range pids {
			if born != "" && testkit.Born(pid) == born {
				what, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				left = append(left, fmt.Sprintf("%d %s", pid, strings.ReplaceAll(string(what), "\x00", " ")))
			}
		}
		return len(left) == 0
	})
	if t.Failed() {
		t.Log(strings.Join(left, "\n"))
	}
}
