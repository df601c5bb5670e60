package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// raw returns pgx's transaction below db.
func raw(ctx context.Context, db pgdbm.DB) (pgx.Tx, error) {
	tx, ok := db.(*pgdbm.Tx)
	if !ok {
		return nil, fmt.Errorf("db is a %T", db)
	}
	return tx.Pgx(ctx)
}

func TestGoMigrationCannotEndItsTransaction(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	for name, end := range map[string]func(ctx context.Context, db pgdbm.DB) error{
		"statement": func(ctx context.Context, db pgdbm.DB) error {
			_, err := db.Exec(ctx, "insert into {{tables.t}} values (2); /* done */ COMMIT")
			return err
		},
		"query": func(ctx context.Context, db pgdbm.DB) error { return db.QueryRow(ctx, "rollback").Scan() },
		"batch": func(ctx context.Context, db pgdbm.DB) error {
			b := &pgx.Batch{}
			b.Queue("select 1")
			b.Queue("commit")
			return db.SendBatch(ctx, b).Close()
		},
		"pgx": func(ctx context.Context, db pgdbm.DB) error {
			tx, err := raw(ctx, db)
			if err != nil {
				return err
			}
			return tx.Commit(ctx)
		},
		"pgx row": func(ctx context.Context, db pgdbm.DB) error {
			tx, err := raw(ctx, db)
			if err != nil {
				return err
			}
			return tx.QueryRow(ctx, "commit").Scan()
		},
		"raw connection": func(ctx context.Context, db pgdbm.DB) error {
			tx, err := raw(ctx, db)
			if err != nil {
				return err
			}
			_, err = tx.Conn().Exec(ctx, "rollback")
			return err
		},
		"raw connection, then more": func(ctx context.Context, db pgdbm.DB) error {
			tx, err := raw(ctx, db)
			if err != nil {
				return err
			}
			if _, err := tx.Conn().Exec(ctx, "rollback"); err != nil {
				return err
			}
			_, err = db.Exec(ctx, "insert into {{tables.t}} values (3)")
			return err
		},
		"another transaction": func(ctx context.Context, db pgdbm.DB) error {
			tx, err := raw(ctx, db)
			if err != nil {
				return err
			}
			_, err = tx.Conn().Exec(ctx, "rollback; begin")
			return err
		},
	} {
		m := goMigrator(t, pool, files("1_a.sql", "create table {{tables.t}} (n int)"), migrations.Config{}, migrations.GoMigration{Version: 2, Name: "go", Up: func(ctx context.Context, db pgdbm.DB) error {
			if _, err := db.Exec(ctx, "insert into {{tables.t}} values (1)"); err != nil {
				return err
			}
			return end(ctx, db)
		}})
		_, err := m.Up(t.Context())
		if !errors.Is(err, migrations.ErrTxControl) {
			t.Errorf("%s: %v", name, err)
		}
		testkit.Equal(t, history(t, m), "a:applied")
		testkit.Equal(t, value[int](t, pool, "select count(*) from app.t"), 0)
	}
	nothingLeft(t, pool)
}

func TestGoMigrationThatCommittedIsRecordedAsFailed(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	commit := true
	m := goMigrator(t, pool, nil, migrations.Config{}, migrations.GoMigration{Version: 1, Name: "go", Up: func(ctx context.Context, db pgdbm.DB) error {
		if _, err := db.Exec(ctx, "create table if not exists {{tables.t}} (n int)"); err != nil || !commit {
			return err
		}
		tx, err := raw(ctx, db)
		if err != nil {
			return err
		}
		_, err = tx.Conn().Exec(ctx, "commit; begin")
		return err
	}})
	_, e := failure(t, m)
	testkit.ErrorIs(t, e, migrations.ErrTxControl)
	testkit.ErrorContains(t, e, "what it did before may be stored")
	testkit.Equal(t, history(t, m), "go:failed")
	testkit.ErrorIs(t, m.Verify(t.Context()), migrations.ErrPending)
	commit = false
	testkit.Equal(t, up(t, m), "1_go")
	testkit.Equal(t, history(t, m), "go:applied")
}
