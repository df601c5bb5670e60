package migrations_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// TestCorpusEqualsPsql applies folders of plain SQL with this engine and with psql,
// each in a database of its own, and compares what is there afterwards, and again
// when everything is undone. PGDBM_CORPUS names another folder, without templates; it
// runs in the schema public.
func TestCorpusEqualsPsql(t *testing.T) {
	t.Parallel()
	dir, schema := filepath.Join("testdata", "corpus"), "app"
	if other := os.Getenv("PGDBM_CORPUS"); other != "" {
		dir, schema = other, "public"
	} else if v := testkit.Version(t); v < 150000 {
		t.Skipf("the folder has statements that PostgreSQL %d does not know", v/10000)
	}
	psql, err := osexec.LookPath("psql")
	if err != nil {
		t.Skip("there is no psql to compare with")
	}
	fsys := os.DirFS(dir)
	opts := migrations.LoadOptions{}
	if os.Getenv("PGDBM_CORPUS") != "" { // what psql lets pass
		opts.Rules = map[string]migrations.Severity{"long-identifier": migrations.Off, "session-setting": migrations.Off, "unnamed-index": migrations.Off}
	}
	src, err := migrations.Load(fsys, opts)
	if err != nil {
		t.Fatal(err)
	}
	ours := corpusDatabase(t, schema)
	theirs := corpusDatabase(t, schema)
	empty := theirs.contents(t)

	m := newMigrator(t, open(t, pgdbm.Config{ConnString: ours.address}), migrations.Config{}, migrations.Target{Module: "app", Schema: schema, Source: src})
	report, err := m.Up(t.Context())
	if err != nil {
		t.Errorf("the engine stops: %v", err)
	}
	for i, f := range src.Migrations() {
		text, _ := halves(t, fsys, f.File)
		if err := theirs.psql(t, psql, text, f.Transactional); err != nil {
			t.Errorf("psql stops at %s: %v", f.File, err)
			break
		}
		if i == len(report.Applied) {
			t.Errorf("psql does not stop at %s", f.File)
			break
		}
	}
	t.Logf("%d of %d files applied", len(report.Applied), len(src.Migrations()))
	same(t, "after all files", ours, theirs)
	if t.Failed() || slices.ContainsFunc(src.Migrations(), func(f migrations.Migration) bool { return f.DownFile == "" }) {
		return
	}
	report, err = m.Down(t.Context(), "app", 0)
	if err != nil {
		t.Errorf("the engine cannot undo: %v", err)
	}
	i := 0
	for _, f := range slices.Backward(src.Migrations()) {
		text, _ := halves(t, fsys, f.DownFile)
		if f.DownFile == f.File {
			_, text = halves(t, fsys, f.File)
		}
		if err := theirs.psql(t, psql, text, true); err != nil {
			t.Errorf("psql stops at %s: %v", f.DownFile, err)
			break
		}
		if i++; i > len(report.Applied) {
			t.Errorf("psql does not stop at %s", f.DownFile)
			break
		}
	}
	same(t, "after everything was undone", ours, theirs)
	if left := testkit.Difference(empty, theirs.contents(t)); left != "" {
		t.Logf("the folder itself leaves something behind:\n%s", left)
		if os.Getenv("PGDBM_CORPUS") == "" {
			t.Fail()
		}
	}
}

// corpus is a database that a folder is applied to.
type corpus struct {
	address, schema string
	conn            *pgx.Conn
}

func corpusDatabase(t *testing.T, schema string) corpus {
	t.Helper()
	c := corpus{address: testkit.ConnString(t), schema: schema}
	var err error
	if c.conn, err = pgx.Connect(t.Context(), c.address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.conn.Close(context.Background()) })
	if _, err := c.conn.Exec(t.Context(), "create schema if not exists "+schema); err != nil {
		t.Fatal(err)
	}
	return c
}

// psql runs a text as psql does, with the search_path of the engine.
func (c corpus) psql(t *testing.T, psql, text string, transactional bool) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "migration.sql")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", file, c.address}
	if transactional {
		args = append([]string{"-1"}, args...)
	}
	cmd := osexec.CommandContext(t.Context(), psql, args...)
	cmd.Env = append(os.Environ(), "PGOPTIONS=-c search_path="+c.schema+",public -c lock_timeout=2s", "PGCLIENTENCODING=UTF8")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// contents is the catalog, and the number of rows of every table.
func (c corpus) contents(t *testing.T) []string {
	t.Helper()
	lines := testkit.Catalog(t, c.conn)
	rows, err := c.conn.Query(t.Context(), `select format('rows %s %s', c.oid::regclass,
  (xpath('/row/n/text()', query_to_xml('select count(*) as n from only ' || c.oid::regclass, false, true, '')))[1])
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relname !~ '^pgdbm_migrations' and c.relispopulated`)
	if err != nil {
		t.Fatal(err)
	}
	counts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(slices.Values(append(lines, counts...)))
}

func same(t *testing.T, when string, ours, theirs corpus) {
	t.Helper()
	if diff := testkit.Difference(ours.contents(t), theirs.contents(t)); diff != "" {
		t.Errorf("%s, - of the engine, + of psql:\n%s", when, diff)
	}
}

// halves divides a file of goose, dbmate or tern as those tools do: by lines.
func halves(t *testing.T, fsys fs.FS, file string) (up, down string) {
	t.Helper()
	text, err := fs.ReadFile(fsys, file)
	if err != nil {
		t.Fatal(err)
	}
	half := &up
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.HasPrefix(line, "-- +goose Down"), strings.HasPrefix(line, "-- migrate:down"), strings.HasPrefix(line, "---- create above / drop below ----"):
			half = &down
		}
		*half += line
	}
	return up, down
}
