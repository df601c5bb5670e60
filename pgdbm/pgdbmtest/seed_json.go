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
	rows []json.RawMessage
}

// loadJSON inserts the rows of a file.
func loadJSON(ctx context.Context, tx *pgdbm.Tx, f fixture, counts map[string]int) error {
	tables, err := parseTables(f.data)
	if err != nil {
		return fmt.Errorf("%s%w", f.path, err)
	}
	for _, t := range tables {
		if err := t.insert(ctx, tx); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		counts[t.name] += len(t.rows)
	}
	return nil
}

// parseTables reads {table: [row, …], …} in the order of the text. Its errors
// begin with what follows the name of the file.
func parseTables(data []byte) ([]table, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var whole any
	if err := json.Unmarshal(data, &whole); err != nil {
		offset := len(data)
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			offset = int(syntax.Offset)
		}
		return nil, fmt.Errorf(":%d: %w", line(string(data), offset), err)
	}
	if _, ok := whole.(map[string]any); !ok {
		return nil, errors.New(`: want an object of tables: {"users": [{"email": "ada@example.com"}]}`)
	}
	var tables []table
	d := json.NewDecoder(bytes.NewReader(data))
	_, err := d.Token() // {
	for err == nil && d.More() {
		var name json.Token
		if name, err = d.Token(); err != nil {
			break
		}
		t := table{name: fmt.Sprint(name)}
		if err := d.Decode(&t.rows); err != nil {
			return nil, fmt.Errorf(": %s: want an array of rows", t.name)
		}
		tables = append(tables, t)
	}
	return tables, err
}

// insert inserts the rows. Those that name the same columns travel together: were
// there several statements in a batch, the server would not say which is wrong.
func (t table) insert(ctx context.Context, tx *pgdbm.Tx) error {
	columns := map[string]bool{}
	b, start, last := &pgx.Batch{}, 0, ""
	flush := func() error {
		if i, err := send(ctx, tx, b); err != nil {
			return fmt.Errorf("%s[%d]: %w", t.name, start+i, err)
		}
		return nil
	}
	for i, row := range t.rows {
		sql, names, err := t.statement(row)
		if err != nil {
			return fmt.Errorf("%s[%d]: %w", t.name, i, err)
		}
		if sql != last || b.Len() == rowsPerBatch {
			if err := flush(); err != nil {
				return err
			}
			b, start, last = &pgx.Batch{}, i, sql
		}
		if len(names) == 0 {
			b.Queue(sql)
			continue
		}
		b.Queue(sql, string(row))
		for _, name := range names {
			columns[name] = true
		}
	}
	if err := flush(); err != nil || len(columns) == 0 {
		return err
	}
	return t.advance(ctx, tx, slices.Sorted(maps.Keys(columns)))
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

// advance moves the sequences behind columns whose values the rows have set
// past the highest, so that the next insert does not collide.
func (t table) advance(ctx context.Context, tx *pgdbm.Tx, columns []string) error {
	type sequence struct{ Column, Name string }
	owned, err := pgdbm.FetchAll[sequence](ctx, tx, `select a.attname as column, s.seqrelid::regclass::text as name
		from pg_attribute a join pg_sequence s on s.seqrelid = to_regclass(pg_get_serial_sequence('`+t.reference()+`', a.attname))
		where a.attrelid = '`+t.reference()+`'::regclass and a.attname = any ($1) and a.attnum > 0 and not a.attisdropped
		and s.seqincrement > 0`, columns)
	if err != nil {
		return fmt.Errorf("%s: sequences: %w", t.name, err)
	}
	for _, s := range owned {
		column := strings.ReplaceAll(pgx.Identifier{s.Column}.Sanitize(), "{{", "{{{{")
		_, err := tx.Exec(ctx, `select setval(seqrelid::regclass, greatest((select max(`+column+`) from `+t.reference()+`),
			pg_sequence_last_value(seqrelid::regclass), seqmin)) from pg_sequence where seqrelid = $1::regclass`, s.Name)
		if err != nil {
			return fmt.Errorf("%s: sequence %s: %w", t.name, s.Name, err)
		}
	}
	return nil
}
