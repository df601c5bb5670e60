package pgdbmtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// rowsPerBatch is how many rows travel in one round trip.
const rowsPerBatch = 500

// table is the rows of one table in a JSON file.
type table struct {
	name string
	line int
	rows []row
}

type row struct {
	text json.RawMessage
	line int
}

// loadJSON inserts the rows of a file.
func loadJSON(ctx context.Context, tx *pgdbm.Tx, f fixture, counts map[string]int) error {
	tables, err := parseTables(f.data)
	if err != nil {
		return fmt.Errorf("%s:%w", f.path, err)
	}
	for _, t := range tables {
		name, err := target("insert into "+t.reference(), tx.Schema())
		if err != nil {
			return fmt.Errorf("%s:%d: %s: %w", f.path, t.line, t.name, err)
		}
		if err := t.insert(ctx, tx); err != nil {
			return fmt.Errorf("%s:%w", f.path, err)
		}
		counts[name] += len(t.rows)
	}
	return nil
}

// parseTables reads {table: [row, …], …} in the order of the text. Its errors
// begin with the number of the line.
func parseTables(data []byte) ([]table, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	lines := lines{text: data}
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		offset := len(data)
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			offset = int(syntax.Offset)
		}
		return nil, fmt.Errorf("%d: %w", lines.at(offset), err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil, errors.New(`1: want an object of tables: {"users": [{"email": "ada@example.com"}]}`)
	}
	var tables []table
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		t := table{name: fmt.Sprint(name), line: lines.at(int(d.InputOffset()))}
		if first, err := d.Token(); err != nil || first != json.Delim('[') {
			return nil, fmt.Errorf("%d: %s: want an array of rows", t.line, t.name)
		}
		for d.More() {
			var r row
			if err := d.Decode(&r.text); err != nil {
				return nil, err
			}
			r.line = lines.at(int(d.InputOffset()) - len(r.text))
			t.rows = append(t.rows, r)
		}
		if _, err := d.Token(); err != nil { // ]
			return nil, err
		}
		tables = append(tables, t)
	}
	return tables, nil
}

// insert inserts the rows. Those that name the same columns travel together: were
// there several statements in a batch, the server would not say which is wrong.
// Its errors begin with the number of the line.
func (t table) insert(ctx context.Context, tx *pgdbm.Tx) error {
	given := map[string]bool{} // columns whose sequences are behind
	b, start, last := &pgx.Batch{}, 0, ""
	wrong := func(i int, err error) error { return fmt.Errorf("%d: %s[%d]: %w", t.rows[i].line, t.name, i, err) }
	flush := func() error {
		if i, err := send(ctx, tx, b); err != nil {
			return wrong(start+i, err)
		}
		return nil
	}
	for i, row := range t.rows {
		sql, names, err := t.statement(row.text)
		if err != nil {
			return wrong(i, err)
		}
		if sql != last || b.Len() == rowsPerBatch {
			if err := flush(); err != nil {
				return err
			}
			if err := t.advance(ctx, tx, given, names); err != nil {
				return err
			}
			b, start, last = &pgx.Batch{}, i, sql
		}
		if len(names) == 0 {
			b.Queue(sql)
			continue
		}
		b.Queue(sql, string(row.text))
		for _, name := range names {
			given[name] = true
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return t.advance(ctx, tx, given, nil)
}

// statement returns the INSERT of a row, and the columns that the row names.
func (t table) statement(row json.RawMessage) (sql string, names []string, err error) {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(row, &values); err != nil || values == nil {
		return "", nil, errors.New("want a row: an object of columns")
	}
	if len(values) == 0 {
		return "insert into " + t.reference() + " default values", nil, nil
	}
	names = slices.Sorted(maps.Keys(values))
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = strings.ReplaceAll(pgx.Identifier{name}.Sanitize(), "{{", "{{{{")
	}
	list := strings.Join(quoted, ", ")
	return fmt.Sprintf("insert into %[1]s (%[2]s) overriding system value select %[2]s from json_populate_record(null::%[1]s, $1::json)",
		t.reference(), list), names, nil
}

// reference returns the template for the table; a name may be written as one.
func (t table) reference() string {
	if strings.HasPrefix(t.name, "{{") {
		return t.name
	}
	return reference(t.name)
}

// send runs a batch and returns which of its statements failed.
func send(ctx context.Context, tx *pgdbm.Tx, b *pgx.Batch) (failed int, err error) {
	n := b.Len()
	if n == 0 {
		return 0, nil
	}
	results := tx.SendBatch(ctx, b)
	for i := range n {
		if _, err := results.Exec(); err != nil {
			_ = results.Close() // says the same
			return i, err
		}
	}
	return 0, results.Close()
}

// advance moves the sequences behind columns whose values rows have given past
// the highest, so that the next row that does not give them does not collide.
// Those that it does give, too, can wait.
func (t table) advance(ctx context.Context, tx *pgdbm.Tx, given map[string]bool, next []string) error {
	var columns []string
	for name := range given {
		if !slices.Contains(next, name) {
			columns = append(columns, name)
			delete(given, name)
		}
	}
	if len(columns) == 0 {
		return nil
	}
	wrong := func(err error) error { return fmt.Errorf("%d: %s: sequences: %w", t.line, t.name, err) }
	type sequence struct{ Column, Name string }
	owned, err := pgdbm.FetchAll[sequence](ctx, tx, `select a.attname as column, s.seqrelid::regclass::text as name
		from pg_attribute a join pg_sequence s on s.seqrelid = to_regclass(pg_get_serial_sequence('`+t.reference()+`', a.attname))
		where a.attrelid = '`+t.reference()+`'::regclass and a.attname = any ($1) and a.attnum > 0 and not a.attisdropped
		and s.seqincrement > 0`, columns)
	if err != nil {
		return wrong(err)
	}
	for _, s := range owned {
		column := strings.ReplaceAll(pgx.Identifier{s.Column}.Sanitize(), "{{", "{{{{")
		_, err := tx.Exec(ctx, `select setval(seqrelid::regclass, greatest((select max(`+column+`) from `+t.reference()+`),
			pg_sequence_last_value(seqrelid::regclass), seqmin)) from pg_sequence where seqrelid = $1::regclass`, s.Name)
		if err != nil {
			return wrong(err)
		}
	}
	return nil
}
