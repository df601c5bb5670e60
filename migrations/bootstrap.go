package migrations

import (
	"context"
	"slices"

	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
)

// ensure creates the target's schema and tracking table where they are missing,
// each in a transaction of its own. It looks first: IF NOT EXISTS needs the right
// to create even where nothing is to be created.
func (s *session) ensure(ctx context.Context, t *target) error {
	err := s.create(ctx, t, bootstrapKey, "select from pg_catalog.pg_namespace where nspname = $1", []any{t.Schema},
		request{sql: "create schema " + sqltmpl.Quote(t.Schema)})
	if err != nil {
		return err
	}
	return s.create(ctx, t, t.key, "select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = $2",
		[]any{t.Schema, s.m.cfg.Table}, t.createTable()...)
}

// racing are the errors of concurrent creation, which another look resolves.
var racing = []string{"23505", "XX000", "42P06", "42P07", "42710"}

// create executes requests in one transaction, under a lock, unless the query
// look finds a row.
func (s *session) create(ctx context.Context, t *target, key int64, look string, args []any, requests ...request) error {
	for attempt := 1; ; attempt++ {
		got, err := run(ctx, s.conn, look, args...)
		if err != nil || len(got.rows) > 0 {
			return err
		}
		if err := s.begin(ctx, t, key); err != nil {
			return err
		}
		err = s.createLocked(ctx, look, args, requests)
		if err == nil {
			return nil
		}
		s.rollback(ctx)
		if attempt == s.m.cfg.Retries || !slices.Contains(racing, sqlState(err)) {
			return err
		}
	}
}

func (s *session) createLocked(ctx context.Context, look string, args []any, requests []request) error {
	got, err := run(ctx, s.conn, look, args...)
	if err != nil {
		return err
	}
	if len(got.rows) == 0 {
		if err := exec(ctx, s.conn, requests...); err != nil {
			return err
		}
	}
	return s.commitPlain(ctx)
}
