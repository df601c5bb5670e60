package pgdbm_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestExplainPlansWithoutRunning(t *testing.T) {
	t.Parallel()
	m := setup(t)
	exec(t, m, "insert into {{tables.items}} (name, n) select g::text, g from generate_series(1, 100) g")
	exec(t, m, "analyze {{tables.items}}")
	plan, err := pgdbm.Explain(t.Context(), m, "delete from {{tables.items}} where n > $1 returning n", 40)
	testkit.NoError(t, err)
	if !strings.Contains(plan.Text, "Delete on items") || plan.Cost <= 0 || plan.EstimatedRows < 40 || plan.EstimatedRows > 80 || plan.ExecutionTime != 0 {
		t.Errorf("%+v", plan)
	}
	testkit.Equal(t, len(names(t, m)), 100)
}

func TestExplainAnalyzeChangesNothing(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	exec(t, m, "insert into {{tables.items}} (name) values ('a'), ('b')")
	check := func(db pgdbm.DB) {
		t.Helper()
		plan, err := pgdbm.ExplainAnalyze(ctx, db, "delete from {{tables.items}} where name <> $1 returning name", "none")
		testkit.NoError(t, err)
		if plan.Rows != 2 || plan.PlanningTime <= 0 || plan.ExecutionTime <= 0 || !strings.Contains(plan.Text, "Buffers:") {
			t.Errorf("%+v", plan)
		}
		testkit.Equal(t, names(t, db), []string{"a", "b"})
	}
	check(m)
	testkit.NoError(t, m.InTx(ctx, func(tx *pgdbm.Tx) error { // a savepoint; the transaction goes on
		exec(t, tx, "update {{tables.items}} set n = 1")
		check(tx)
		return nil
	}))
	n, err := pgdbm.FetchValue[int](ctx, m, "select count(*) from {{tables.items}} where n = 1")
	testkit.NoError(t, err)
	testkit.Equal(t, n, 2)
	whole(t, m)
}

func TestExplainRefusesWhatItCannotRollBack(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	exec(t, m, "insert into {{tables.items}} (name) values ('a')")
	for _, sql := range []string{"delete from {{tables.items}}; commit", "", "select 1; select 2", "select '"} {
		_, err := pgdbm.ExplainAnalyze(ctx, m, sql, pgx.QueryExecModeSimpleProtocol)
		testkit.ErrorContains(t, err, "pgdbm: explain needs one statement, not ")
	}
	for _, sql := range []string{"analyze delete from {{tables.items}}", "commit", "drop table {{tables.items}}"} {
		if _, err := pgdbm.ExplainAnalyze(ctx, m, sql); err == nil {
			t.Errorf("%s was explained", sql)
		}
	}
	testkit.Equal(t, names(t, m), []string{"a"})
	if _, err := pgdbm.Explain(ctx, m, "select * from {{tables.missing}}"); !errors.Is(err, pgdbm.ErrUndefined) {
		t.Error(err)
	}
	if _, err := pgdbm.ExplainAnalyze(ctx, m, "select 1 / $1::int", 0); !errors.Is(err, pgdbm.ErrInvalid) {
		t.Error(err)
	}
	whole(t, m)
}
