package testkit_test

import (
	"fmt"
	"os"
	"regexp"
	"sync"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

// However a test process ends, its databases do not stay.
func TestSweepAfterEndedProcess(t *testing.T) {
	t.Parallel()
	ends := map[string]func(){
		"killed":    func() { testkit.NoError(t, kill(os.Getpid())) },
		"panics":    func() { panic("on purpose") },
		"exits":     func() { os.Exit(3) },
		"times out": func() { <-t.Context().Done() }, // -test.timeout
	}
	if how := os.Getenv(helperVariable); how != "" {
		d := testkit.New(t, testkit.Template{})
		execute(t, d.ConnString(), "CREATE TABLE left_behind ()")
		_, err := fmt.Fprintf(os.Stdout, "\nname=%s\n", d.Name())
		testkit.NoError(t, err)
		ends[how]()
	}
	mine := testkit.New(t, testkit.Template{})
	var mu sync.Mutex
	var left []string
	var group sync.WaitGroup
	for how := range ends {
		group.Go(func() {
			for _, limit := range []string{"2s", "10s", "1m"} { // on a busy machine it takes long to get there
				cmd := again(t, how)
				cmd.Args = append(cmd.Args, "-test.timeout="+limit)
				out, err := cmd.CombinedOutput()
				m := regexp.MustCompile(`name=(\w+)`).FindSubmatch(out)
				if err == nil {
					t.Errorf("%s: it succeeded: %s", how, out)
				}
				if m != nil {
					mu.Lock()
					defer mu.Unlock()
					left = append(left, string(m[1]))
					return
				}
			}
		})
	}
	group.Wait()
	testkit.Equal(t, len(left), len(ends))
	k := openKit(t, nil) // sweeps, as every process does
	for _, name := range left {
		testkit.Eventually(t, "the process's database is dropped", func() bool { return !exists(t, k, name) })
	}
	testkit.Equal(t, exists(t, k, mine.Name()), true)
}
