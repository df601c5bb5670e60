package pgdbmtest

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// WithRole runs the test's statements as a role, as SET ROLE does, on a pool of
// the test's own: to test privileges and row level security, which do not apply
// to the superuser or owner that migrates.
//
// The role has the privileges that migrations and setups grant, and no others.
// If the server has none of that name it is created before anything is
// migrated, without the right to log in, and stays: roles belong to the server.
func WithRole(name string) Option {
	return func(r *recipe) {
		if name == "" {
			r.wrong("WithRole: the name is empty")
		}
		r.role = name
	}
}

// createRole makes sure that there is the role, and that this user may take it.
func (r *recipe) createRole(ctx context.Context, db *pgdbm.Manager) error {
	if r.role == "" {
		return nil
	}
	var exists, member bool
	const query = `select count(*) > 0, coalesce(bool_or(pg_has_role(oid, 'member')), false) from pg_roles where rolname = $1`
	if err := db.QueryRow(ctx, query, r.role).Scan(&exists, &member); err != nil {
		return err
	}
	name := pgx.Identifier{r.role}.Sanitize()
	if !exists {
		_, err := db.Exec(ctx, "create role "+name+" nologin")
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && (pg.Code == "42710" || pg.Code == "23505") {
			err = nil // another template, built at the same time
		}
		if err != nil {
			return fmt.Errorf("pgdbmtest: WithRole: %w", err)
		}
	}
	if !member {
		var super bool
		if err := db.QueryRow(ctx, "select rolsuper from pg_roles where rolname = current_user").Scan(&super); err != nil || super {
			return err
		}
		if _, err := db.Exec(ctx, "grant "+name+" to current_user"); err != nil {
			return fmt.Errorf("pgdbmtest: WithRole: %w", err)
		}
	}
	return nil
}
