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
	unfit    error    // why its databases cannot be recycled
	tables   []table  // all of them; there are no others as long as no catalog has changed
	others   string   // oids of what else has rows or statistics: toast, materialized views, partitioned tables
	reset    string   // statement that puts all sequences back
	settings []string // of the application's own, which the database reads
	stateful bool     // sessions have state that cannot be told or undone
}

// table is a table of the template.
type table struct {
	oid    uint32
	name   string // quoted
	seeded bool   // has rows of the template
}

// known are the facts of a template by its newest relation: one that was built
// again, by this process or another, has others.
type known struct {
	mu    sync.Mutex
	facts map[uint32]*facts
}

// of returns the facts of a clone.
func (k *known) of(ctx context.Context, conn *pgx.Conn) (*facts, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var newest uint32
	if err := conn.QueryRow(ctx, "SELECT max(oid) FROM pg_class", pgx.QueryExecModeSimpleProtocol).Scan(&newest); err != nil {
		return nil, fmt.Errorf("facts: %w", err)
	}
	if f, ok := k.facts[newest]; ok {
		return f, nil
	}
	f := &facts{}
	if err := f.read(ctx, conn); err != nil {
		return nil, fmt.Errorf("facts: %w", err)
	}
	if k.facts == nil {
		k.facts = map[uint32]*facts{}
	}
	k.facts[newest] = f
	return f, nil
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
	const others = "SELECT coalesce(string_agg(oid::text, ','), '') FROM pg_class WHERE relkind IN ('t', 'm', 'p') AND oid >= 16384"
	if err := conn.QueryRow(ctx, others, pgx.QueryExecModeSimpleProtocol).Scan(&f.others); err != nil {
		return err
	}
	if err := f.readSettings(ctx, conn); err != nil {
		return err
	}
	return f.readSequences(ctx, conn)
}

// readSettings finds the settings that functions, policies, views, defaults,
// constraints and triggers read. SET app.tenant makes app.tenant known to its
// session for good: RESET leaves it empty, where a new session has none. There is
// no list of such settings, so they are known only by who reads them. A name that
// is computed, or a language with variables that outlive a call, makes every
// session suspect.
func (f *facts) readSettings(ctx context.Context, conn *pgx.Conn) error {
	const query = `WITH code (text) AS (
		SELECT concat(prosrc, pg_get_function_sqlbody(oid)) FROM pg_proc WHERE oid >= 16384
		UNION ALL SELECT concat(pg_get_expr(polqual, polrelid), ' ', pg_get_expr(polwithcheck, polrelid)) FROM pg_policy
		UNION ALL SELECT pg_get_ruledef(oid) FROM pg_rewrite WHERE oid >= 16384
		UNION ALL SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef
		UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE oid >= 16384 AND contype = 'c'
		UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgqual IS NOT NULL
	), reads (name) AS (
		SELECT lower((regexp_matches(text, 'current_setting"?\s*\(\s*(?:''([^'']*)''|[^''])', 'gi'))[1]) FROM code WHERE text ~* 'current_setting'
	)
	SELECT coalesce((SELECT array_agg(DISTINCT name) FROM reads WHERE name LIKE '%.%'), '{}'),
		EXISTS (SELECT FROM reads WHERE name IS NULL) OR EXISTS (SELECT FROM pg_language WHERE lanname NOT IN ('internal', 'c', 'sql', 'plpgsql'))`
	return conn.QueryRow(ctx, query, pgx.QueryExecModeSimpleProtocol).Scan(&f.settings, &f.stateful)
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
