package pgdbmtest

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

// save copies the database under a name that nothing sweeps away, and tells the
// test's reader how to open it.
func (h *home) save(ctx context.Context, t TB) {
	t.Helper()
	if always := os.Getenv("PGDBM_TEST_KEEP"); always == "all" || always == "failed" && t.Failed() {
		return // it is kept anyway
	}
	name, err := h.copyOut(ctx)
	if err != nil {
		t.Logf("pgdbmtest: the database cannot be kept: %v", err)
		return
	}
	address := strings.ReplaceAll(h.database.ConnString(), h.database.Name(), name)
	t.Logf("pgdbmtest: kept for you:\n  psql '%s'\n  DROP DATABASE %s; when you are done", address, name)
}

func (h *home) copyOut(ctx context.Context) (name string, err error) {
	from := h.database.Name()
	name = strings.Replace(from, "pgdbm_t_", "pgdbm_kept_", 1)
	conn, err := pgx.Connect(ctx, h.database.ConnString())
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is lost with it
	// Only this session may be left on a database that is copied.
	_, err = conn.Exec(ctx, `select pg_terminate_backend(pid, 5000) from pg_stat_activity
		where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`)
	if err != nil {
		return "", err
	}
	_, err = conn.Exec(ctx, fmt.Sprintf("create database %s template %s", name, from), pgx.QueryExecModeExec)
	return name, err
}
