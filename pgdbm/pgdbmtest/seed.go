package pgdbmtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Seed loads rows from files, in one transaction, and returns how many it
// inserted into each table, under the name that [DB.Count] takes. The test ends at
// the first error, which has file and line.
//
// A path is a file, a pattern such as "orders/*.json" or a folder, of which the
// *.sql and *.json files are taken; without paths, those at the root of
// fsys. Files are loaded in the order of the paths, those of one path by name.
//
// An SQL file is a sequence of statements. Templates are expanded everywhere in
// it, as in all SQL: {{schema}}, {{tables.users}}, and {{{{ for a literal {{.
//
// A JSON file is an object of tables, which are filled in the order in which they
// stand:
//
//	{"users": [{"id": 1, "email": "ada@example.com", "tags": ["a", "b"]}], "billing.invoices": []}
//
// A table is named as in {{tables.…}}, or as a whole template: "{{schema}}.users".
// Columns and values are data in which nothing is expanded. A column that a row
// does not name takes its default. Values are converted by the server, as
// json_populate_record does. Where ids are given, the sequence behind them goes
// on after the highest.
func Seed(t TB, db pgdbm.DB, fsys fs.FS, paths ...string) map[string]int {
	t.Helper()
	ctx, cancel := background()
	defer cancel()
	files, err := readFixtures(fsys, paths)
	var counts map[string]int
	if err == nil {
		counts, err = seed(ctx, db, files)
	}
	if err != nil {
		t.Fatalf("pgdbmtest: Seed: %v", err)
		return nil
	}
	return counts
}

// fixture is a file with rows.
type fixture struct {
	path string
	data []byte
}

// readFixtures finds and reads the files that the paths mean.
func readFixtures(fsys fs.FS, paths []string) ([]fixture, error) {
	if fsys == nil {
		return nil, errors.New("the file system is nil")
	}
	if len(paths) == 0 {
		paths = []string{"."}
	}
	var files []fixture
	for _, p := range paths {
		names, err := find(fsys, p)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			data, err := fs.ReadFile(fsys, name)
			if err != nil {
				return nil, err
			}
			files = append(files, fixture{name, data})
		}
	}
	return files, nil
}

// find returns the files that a path means.
func find(fsys fs.FS, p string) ([]string, error) {
	if info, err := fs.Stat(fsys, p); err == nil && info.IsDir() {
		var all []string
		for _, pattern := range []string{"*.sql", "*.json"} {
			names, err := fs.Glob(fsys, path.Join(p, pattern))
			if err != nil {
				return nil, err
			}
			all = append(all, names...)
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("%s: the folder has no *.sql and no *.json", p)
		}
		slices.Sort(all)
		return all, nil
	}
	names, err := fs.Glob(fsys, p)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: there is no such file", p)
	}
	for _, name := range names {
		if ext := path.Ext(name); ext != ".sql" && ext != ".json" {
			return nil, fmt.Errorf("%s: a fixture is a .sql or a .json file", name)
		}
	}
	return names, nil
}

// seed loads files in one transaction.
func seed(ctx context.Context, db pgdbm.DB, files []fixture) (map[string]int, error) {
	counts := map[string]int{}
	err := db.InTx(ctx, func(tx *pgdbm.Tx) error {
		for _, f := range files {
			load := loadSQL
			if path.Ext(f.path) == ".json" {
				load = loadJSON
			}
			if err := load(ctx, tx, f, counts); err != nil {
				return err
			}
		}
		return nil
	})
	return counts, err
}

// line returns the number of the line in which an offset stands.
func line(text string, offset int) int {
	return (&lines{text: []byte(text)}).at(offset)
}

// lines finds the lines of offsets that are asked for in ascending order.
type lines struct {
	text   []byte
	offset int
	before int // lines that end before offset
}

// at returns the number of the line in which an offset stands, from 1.
func (l *lines) at(offset int) int {
	if offset = min(offset, len(l.text)); offset > l.offset {
		l.before += bytes.Count(l.text[l.offset:offset], []byte("\n"))
		l.offset = offset
	}
	return l.before + 1
}
