package migrations_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestObserverSeesTheProgressOfAnIndex(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 2})
	fsys := files("1_a.sql", "create table {{tables.t}} (n int); insert into {{tables.t}} select generate_series(1, 1000)",
		"2_b.sql", auto+"select 1;\ncreate index concurrently i on {{tables.t}} (n)")
	up(t, migrator(t, pool, fsys, migrations.Config{}), migrations.To(1))

	// The build waits for a transaction that has written.
	cc := pool.Pgx().Config().ConnConfig
	cc.RuntimeParams["application_name"] = "the writer"
	writer, err := pgx.ConnectConfig(t.Context(), cc)
	testkit.NoError(t, err)
	defer func() { _ = writer.Close(context.Background()) }()
	_, err = writer.Exec(t.Context(), "begin; insert into app.t values (0)")
	testkit.NoError(t, err)
	var release sync.Once
	seen := &events{on: func(e migrations.Event) {
		if e.Kind == migrations.EventIndexProgress && len(e.Sessions) > 0 {
			release.Do(func() {
				_, err := writer.Exec(context.Background(), "commit")
				testkit.NoError(t, err)
			})
		}
	}}
	testkit.Equal(t, up(t, migrator(t, pool, fsys, migrations.Config{Observer: seen})), "2_b.sql")
	list := seen.of(migrations.EventIndexProgress)
	i := slices.IndexFunc(list, func(e migrations.Event) bool { return len(e.Sessions) > 0 })
	if e := list[i]; e.Phase != "waiting for writers before build" || e.Done != 0 || e.Total != 1 || e.Module != "app" || e.Schema != "app" || e.File != "2_b.sql" ||
		e.Statement != 2 || e.Statements != 2 || e.Duration <= 0 || e.Sessions[0].Application != "the writer" {
		t.Errorf("%+v", e)
	}
	nothingLeft(t, pool)
}
