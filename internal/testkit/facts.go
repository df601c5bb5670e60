package testkit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// facts are what recycling has to know about a template's contents. Every clone
// has them, with the same oids, so they are read from the first.
type facts struct {
	mu     sync.Mutex
	known  bool
	unfit  error   // why its databases cannot be recycled
	tables []table // all of them; there are no others as long as no catalog has changed
	others string  // oids of what else has rows and belongs to the template: toast
	reset  string  // statement that puts all sequences back
}

// table is a table of the template.
type table struct {
	oid    uint32
	name   string // quoted
	seeded bool   // has rows of the template
}

// learn reads the facts, once.
func (t *template) learn(ctx context.Context, conn *pgx.Conn) error {
	t.facts.mu.Lock()
	defer t.facts.mu.Unlock()
	if t.facts.known {
		return nil
	}
	if err := t.facts.read(ctx, conn); err != nil {
		return fmt.Errorf("facts: %w", err)
	}
	t.facts.known = true
	return nil
}

// unfit returns why no database of the template can be recycled, nil if they can.
func (t *template) unfit() error {
	t.facts.mu.Lock()
	defer t.facts.mu.Unlock()
	return t.facts.unfit
}

func (f *facts) read(ctx context.Context, conn *pgx.Conn) error {
	var always bool
	const triggers = `SELECT EXISTS (SELECT FROM pg_trigger WHERE tgenabled IN ('A', 'R'))
		OR EXISTS (SELECT FROM pg_rewrite WHERE ev_enabled IN ('A', 'R'))`
	if err := conn.QueryRow(ctx, triggers, pgx.QueryExecModeSimpleProtocol).Scan(&always); err != nil {
		return err
	}
	if always {
		f.unfit = errors.New("a trigger or rule is ENABLE ALWAYS or REPLICA: it would fire when rows are removed")
	}
	const tables = `SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname), pg_relation_size(c.oid) > 0
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.oid >= 16384 ORDER BY c.oid`
	rows, err := conn.Query(ctx, tables, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return err
	}
	f.tables, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (t table, err error) {
		return t, row.Scan(&t.oid, &t.name, &t.seeded)
	})
	if err != nil {
		return err
	}
	const others = "SELECT coalesce(string_agg(oid::text, ','), '') FROM pg_class WHERE relkind IN ('t', 'm') AND oid >= 16384"
	if err := conn.QueryRow(ctx, others, pgx.QueryExecModeSimpleProtocol).Scan(&f.others); err != nil {
		return err
	}
	return f.readSequences(ctx, conn)
}

// readSequences prepares the statement that resets all sequences. All of them,
// whatever they say: pg_sequence_last_value does not tell a sequence that was
// set with is_called false from one that was never used.
func (f *facts) readSequences(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, "SELECT seqrelid, seqrelid::regclass::text AS name FROM pg_sequence", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return err
	}
	var oid uint32
	var name string
	var each []string
	_, err = pgx.ForEachRow(rows, []any{&oid, &name}, func() error {
		each = append(each, fmt.Sprintf("SELECT format('(%d::oid,%%s::bigint,%%L::bool)', last_value, is_called) FROM %s", oid, name))
		return nil
	})
	if err != nil || len(each) == 0 {
		return err
	}
	rows, err = conn.Query(ctx, strings.Join(each, " UNION ALL "), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return err
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	f.reset = "SELECT setval(o::regclass, v, c) FROM (VALUES " + strings.Join(values, ",") + ") AS s (o, v, c);"
	return nil
}
