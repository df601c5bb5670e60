package pgdbm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
)

// How often slow statements are planned, and how long that may take.
const (
	planAgain   = 10 * time.Minute // before a text is planned once more
	planTimeout = 5 * time.Second
	maxPlanned  = 1000 // texts remembered as planned
)

// planner logs the plans of slow statements. It has a goroutine only while it
// works on one.
type planner struct {
	pool *pgxpool.Pool
	log  *slog.Logger
	stop context.CancelFunc
	ctx  context.Context // the life of the planner, not that of a call

	mu      sync.Mutex
	busy    bool
	stopped bool
	planned map[string]time.Time
	working sync.WaitGroup
}

// planOn starts planning on pool, where that was asked for.
func (m *monitor) planOn(pool *pgxpool.Pool) {
	if m == nil || !m.plans || m.slow == 0 {
		return
	}
	p := &planner{pool: pool, log: m.log, planned: map[string]time.Time{}}
	p.ctx, p.stop = context.WithCancel(context.Background())
	if !m.planner.CompareAndSwap(nil, p) {
		p.stop() // another Pool borrows the same pgx pool
	}
}

// planOff ends planning on pool and waits for the plan in work.
func (m *monitor) planOff(pool *pgxpool.Pool) {
	if m == nil {
		return
	}
	p := m.planner.Load()
	if p == nil || p.pool != pool {
		return
	}
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.stop()
	p.working.Wait()
}

// offer plans a slow statement soon, unless that was done lately. It does not wait.
func (p *planner) offer(by *Binding, sql string) {
	if len(sql) > maxText || !plannable(sql) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if at, ok := p.planned[sql]; p.stopped || p.busy || ok && now.Sub(at) < planAgain {
		return
	}
	if len(p.planned) >= maxPlanned {
		clear(p.planned)
	}
	p.planned[sql] = now
	p.busy = true
	p.working.Go(func() {
		p.work(by, sql)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.busy = false
	})
}

func (p *planner) work(by *Binding, sql string) {
	attrs := []slog.Attr{slog.String("module", by.Module), slog.String("schema", by.Schema), slog.String("sql", sql)}
	ctx, cancel := context.WithTimeout(p.ctx, planTimeout)
	defer cancel()
	plan, err := genericPlan(ctx, p.pool, sql)
	if err != nil {
		attrs = append(attrs, slog.String("sqlstate", sqlState(err)), slog.String("error", Classify(err).Error()))
		p.log.LogAttrs(ctx, slog.LevelDebug, "no plan of a slow query", attrs...)
		return
	}
	p.log.LogAttrs(ctx, slog.LevelWarn, "slow query plan", append(attrs, slog.String("plan", plan))...)
}

// plannable reports whether sql is one statement of a kind that has a plan.
func plannable(sql string) bool {
	for t := range sqllex.Tokens(sql) {
		if t.Trivia() || t.Is("(") {
			continue
		}
		switch strings.ToLower(t.Text) {
		case "select", "with", "insert", "update", "delete", "merge", "values", "table":
			stmts, err := sqllex.Split(sql)
			return err == nil && len(stmts) == 1
		}
		return false
	}
	return false
}

var errPoolBusy = errors.New("no connection to spare")

// genericPlan returns the plan of a statement for arguments that are not known,
// without running it. What it sends goes past the tracers.
//
// A statement prepared by SQL, in a transaction, works with every version of the
// server and behind a transaction pooler.
func genericPlan(ctx context.Context, pool *pgxpool.Pool, sql string) (plan string, err error) {
	if s := pool.Stat(); s.AcquiredConns() >= s.MaxConns() {
		return "", errPoolBusy
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Release()
	pc := conn.Conn().PgConn()
	defer func() {
		if err == nil {
			_, err = lines(ctx, pc, "deallocate pgdbm_plan; rollback")
		}
		if err != nil { // takes the prepared statement along
			_ = conn.Conn().Close(ctx)
		}
	}()
	_, err = lines(ctx, pc, `begin read only; set local statement_timeout = '4s'; set local lock_timeout = '1s';
		set local plan_cache_mode = force_generic_plan`)
	if err != nil {
		return "", err
	}
	if _, err = lines(ctx, pc, "prepare pgdbm_plan as "+sql); err != nil {
		return "", err
	}
	params, err := lines(ctx, pc, "select unnest(parameter_types) from pg_prepared_statements where name = 'pgdbm_plan'")
	if err != nil {
		return "", err
	}
	values := ""
	if len(params) > 0 {
		values = "(" + strings.Repeat("null, ", len(params)-1) + "null)"
	}
	text, err := lines(ctx, pc, "explain execute pgdbm_plan"+values)
	return strings.Join(text, "\n"), err
}

// lines returns the first column of everything that sql returns.
func lines(ctx context.Context, conn *pgconn.PgConn, sql string) ([]string, error) {
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, err
	}
	var all []string
	for _, result := range results {
		for _, row := range result.Rows {
			if len(row) == 0 {
				return nil, fmt.Errorf("a row without columns of %q", sql)
			}
			all = append(all, string(row[0]))
		}
	}
	return all, nil
}
