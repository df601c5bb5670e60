package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/internal/check"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

const (
	shopFile   = "testdata/shop.ndjson"
	shopReport = `{"customers":3,"products":2,"orders":3,"lines":4,"units":7,"revenue":"178.5650",` +
		`"orders_by_country":[{"country":"Germany","orders":2},{"country":"USA","orders":1}],` +
		`"top_customers":[{"id":"ACME","revenue":"89.2850"},{"id":"BLAU1","revenue":"89.2800"}]}` + "\n"
)

func TestInterruptLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		signal os.Signal
	}{
		{"multiservice", syscall.SIGINT}, {"multiservice", syscall.SIGTERM}, {"orders", syscall.SIGINT},
	} {
		t.Run(test.name+" "+test.signal.String(), func(t *testing.T) {
			t.Parallel()
			tmp, err := os.MkdirTemp("", "ms") // short, for the sockets in it
			check.NoError(t, err)
			t.Cleanup(func() { _ = os.RemoveAll(tmp) })
			check.NoError(t, os.Chmod(tmp, 0o755)) // the server's user passes through
			s := find(t, test.name).serve(t, "TMPDIR="+tmp)
			if answer := s.get(t, "/healthz"); !strings.Contains(answer, "ok") {
				t.Errorf("healthz: %s", answer)
			}
			if len(processesIn(t, tmp)) == 0 {
				t.Error("no server in its directory: this test would see nothing")
			}
			check.Equal(t, s.end(t, test.signal), 0)
			if left := processesIn(t, tmp); len(left) > 0 {
				t.Errorf("processes: %q", left)
			}
			left, err := filepath.Glob(filepath.Join(tmp, "*", "*", "*"))
			check.NoError(t, err)
			check.Equal(t, len(left), 0)
		})
	}
}

// processesIn returns the command lines of processes that have dir in them.
func processesIn(t *testing.T, dir string) (found []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	check.NoError(t, err)
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && bytes.Contains(line, []byte(dir)) {
			found = append(found, string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return found
}

func TestImportAndEnd(t *testing.T) {
	t.Parallel()
	p := find(t, "multiservice")
	env := "DATABASE_URL=" + pgdbmtest.URL(t)
	for _, progress := range []string{"8 of them new", "0 of them new"} {
		code, stdout, stderr := p.run(t, env, "-import", shopFile, "-report", "json", "-exit")
		check.Equal(t, code, 0)
		check.Equal(t, stdout, shopReport)
		if !strings.Contains(stderr, "importing: 100 %, 8 lines") || !strings.Contains(stderr, progress) {
			t.Errorf("progress:\n%s", stderr)
		}
	}
	code, stdout, _ := p.run(t, env, "-exit")
	check.Equal(t, code, 0)
	if !strings.Contains(stdout, "revenue     178.5650\n") {
		t.Errorf("report:\n%s", stdout)
	}
}

func TestMistakeInTheFile(t *testing.T) {
	t.Parallel()
	p := find(t, "multiservice")
	file := filepath.Join(t.TempDir(), "shop.ndjson")
	check.NoError(t, os.WriteFile(file, []byte("{\"kind\": \"invoice\"}\n"), 0o600))
	code, stdout, stderr := p.run(t, "DATABASE_URL="+pgdbmtest.URL(t), "-import", file, "-report", "json", "-exit")
	check.Equal(t, code, 1)
	check.Equal(t, stdout, "")
	if want := "multiservice: " + file + `:1: unknown kind "invoice"`; !strings.Contains(stderr, want) {
		t.Errorf("want %q in\n%s", want, stderr)
	}
}

func TestMistakeOnTheCommandLine(t *testing.T) {
	t.Parallel()
	p := find(t, "multiservice")
	for want, args := range map[string][]string{
		"flag provided but not defined: -imprt": {"-imprt", shopFile},
		`unexpected argument "serve"`:           {"serve"},
		`-report "xml": text or json`:           {"-report", "xml"},
	} {
		code, stdout, stderr := p.run(t, "", args...)
		check.Equal(t, code, 2)
		check.Equal(t, stdout, "")
		if !strings.Contains(stderr, want) || !strings.Contains(stderr, "Usage: multiservice") {
			t.Errorf("want %q and the usage in\n%s", want, stderr)
		}
	}
	code, _, stderr := p.run(t, "", "-help")
	check.Equal(t, code, 0)
	if !strings.Contains(stderr, "-import file") {
		t.Errorf("help:\n%s", stderr)
	}
	code, _, stderr = p.run(t, "", "-import", "nowhere.ndjson")
	check.Equal(t, code, 1)
	if !strings.Contains(stderr, "nowhere.ndjson: no such file") {
		t.Errorf("missing file:\n%s", stderr)
	}
}

func TestOrdersRunsBesideMultiservice(t *testing.T) {
	t.Parallel()
	env := "DATABASE_URL=" + pgdbmtest.URL(t)
	all := find(t, "multiservice").serve(t, env, "-import", shopFile)
	alone := find(t, "orders").serve(t, env)
	if answer := alone.get(t, "/orders/503"); !strings.Contains(answer, `"customer":"BLAU1"`) {
		t.Errorf("order: %s", answer)
	}
	check.Equal(t, alone.get(t, "/orders"), all.get(t, "/orders"))
	check.Equal(t, alone.end(t, os.Interrupt), 0)
	check.Equal(t, all.end(t, os.Interrupt), 0)
}
