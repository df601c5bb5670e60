package pgdbm

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
)

// Manager is a [DB] bound to one schema for life: each statement runs on a
// connection of the pool. It is a value of a few words, safe for concurrent use;
// there is nothing to close.
type Manager struct {
	pool    *Pool
	binding *Binding
}

// Schema returns the bound schema, "" when none is bound.
func (m *Manager) Schema() string { return m.binding.Schema }

// Pool returns the pool that m works on.
func (m *Manager) Pool() *Pool { return m.pool }

// Expand returns sql with its templates expanded.
func (m *Manager) Expand(sql string) (string, error) {
	return m.pool.texts.expand(m.binding, sql)
}

// Qualify returns the quoted and qualified name of a table of the bound schema.
func (m *Manager) Qualify(table string) (string, error) {
	if !sqltmpl.ValidName(table) {
		return "", fmt.Errorf("pgdbm: table %q: name an unqualified table of the bound schema", table)
	}
	return m.binding.qualify(table), nil
}

// Exec is [DB].Exec.
func (m *Manager) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	text, err := m.Expand(sql)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	if m.binding.role != nil {
		return m.execAs(ctx, text, args)
	}
	conn, err := m.acquire(ctx)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	defer func() { conn.Release() }()
	ctx, cancel := m.pool.limit(ctx)
	if cancel != nil {
		defer cancel()
	}
	tag, err := conn.Exec(ctx, text, args...)
	for t := (tries{}); err != nil; {
		var again bool
		if conn, again = m.again(ctx, conn, err, &t); !again {
			break
		}
		tag, err = conn.Exec(ctx, text, args...)
	}
	if err != nil {
		s := statement{ctx, m.Schema(), text, args, nil}
		return tag, s.classify(err)
	}
	return tag, nil
}

// Query is [DB].Query.
func (m *Manager) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return m.query(ctx, sql, args)
}

// QueryRow is [DB].QueryRow.
func (m *Manager) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	r, _ := m.query(ctx, sql, args) // Scan reports the error
	return row{r}
}

func (m *Manager) query(ctx context.Context, sql string, args []any) (*rows, error) {
	text, err := m.Expand(sql)
	if err != nil {
		return failedRows(err), err
	}
	if m.binding.role != nil && (unfit(text, args) || commits(text)) {
		return queryInTx(ctx, m, TxOptions{}, text, args)
	}
	return m.sendQuery(ctx, text, args)
}

func (m *Manager) sendQuery(ctx context.Context, text string, args []any) (*rows, error) {
	conn, err := m.acquire(ctx)
	if err != nil {
		return failedRows(err), err
	}
	ctx, cancel := m.pool.limit(ctx)
	r := &rows{statement: statement{ctx, m.Schema(), text, args, m.binding.role}, conn: conn, by: m, cancel: cancel}
	defer r.dropped()
	m.send(r)
	return r, r.sent()
}

// SendBatch is [DB].SendBatch. Outside a transaction the server runs the batch
// as one: all of it or nothing.
func (m *Manager) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	begin, err := false, expandBatch(b, m.Expand)
	if err == nil && m.binding.role != nil {
		begin, err = stays(b.QueuedQueries)
	}
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	if begin {
		return sendInTx(ctx, m, TxOptions{}, b)
	}
	conn, err := m.acquire(ctx)
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	ctx, cancel := m.pool.limit(ctx)
	r := &batchResults{ctx: ctx, schema: m.Schema(), queued: b.QueuedQueries, conn: conn, cancel: cancel, role: m.binding.role}
	if r.role != nil && b.Len() > 0 {
		b, r.lead = &pgx.Batch{QueuedQueries: r.role.behind(b.QueuedQueries)}, 1
	}
	defer r.dropped()
	r.BatchResults = conn.SendBatch(ctx, b)
	return r
}

// CopyFrom is [DB].CopyFrom.
func (m *Manager) CopyFrom(ctx context.Context, table string, columns []string, src pgx.CopyFromSource) (int64, error) {
	name, err := m.binding.identifier(table)
	if err != nil {
		return 0, err
	}
	if m.binding.role != nil {
		return m.copyAs(ctx, table, columns, src)
	}
	conn, err := m.acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Release()
	ctx, cancel := m.pool.limit(ctx)
	if cancel != nil {
		defer cancel()
	}
	n, err := copyFrom(ctx, conn, name, columns, src)
	s := statement{ctx: ctx, schema: m.Schema(), sql: "copy " + name.Sanitize()}
	return n, s.classify(err)
}

// Begin returns a transaction that the caller must end by Commit or Rollback
// (best: a deferred Rollback right away). It takes a connection with its first
// statement. [Manager.InTx] needs no such care.
func (m *Manager) Begin(ctx context.Context) (*Tx, error) {
	return m.BeginWith(ctx, TxOptions{})
}

// BeginWith is Begin with options; TxOptions.Attempts does not apply.
func (m *Manager) BeginWith(ctx context.Context, opts TxOptions) (*Tx, error) {
	if err := opts.validate(m.Schema()); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, classify(err, m.Schema(), "begin")
	}
	return m.newTx(m.pool, opts), nil
}

// newTx returns a transaction that has not begun, on a connection of pool.
func (m *Manager) newTx(pool *Pool, opts TxOptions) *Tx {
	all := &struct { // in one piece
		conn  txConn
		tx    Tx
		level txLevel
	}{}
	all.conn = txConn{pool: pool, holder: m.binding, opts: opts.pgx(), head: pool.localTimeouts()}
	if opts.SearchPath {
		all.conn.head = append(all.conn.head, "set local search_path to "+searchPath(m.Schema()))
		all.conn.alone = true
	}
	all.tx = Tx{conn: &all.conn, binding: m.binding, level: &all.level}
	return &all.tx
}

// In is [DB].In.
func (m *Manager) In(tx *Tx) DB { return view(m.pool, m.binding, tx) }

// Adopt returns m's schema in a transaction that the caller has begun on pgx
// itself and ends itself: Commit and Rollback of the result are refused. With
// [Config.ModuleRoles] each statement is between two that change the role, so that
// what the caller sends in between runs as it always did.
func (m *Manager) Adopt(tx pgx.Tx) *Tx {
	return &Tx{conn: &txConn{pool: m.pool, tx: tx, lent: true}, binding: m.binding, level: &txLevel{}}
}

// Acquire takes a connection out of the pool; the caller must Release it. It is
// for what the other methods cannot do. Leave the session as it was: SET
// without LOCAL, session locks and temporary tables would reach whoever gets
// the connection next, and behind a transaction pooler somebody else at once. The
// connection runs statements in the mode of m; see [Binding].ExecMode.
func (m *Manager) Acquire(ctx context.Context) (*pgxpool.Conn, error) {
	return m.acquire(ctx)
}

// acquire takes a connection for statements of m.
func (m *Manager) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	conn, err := m.pool.acquire(ctx)
	m.pool.monitor.acquired(conn, m.binding, err)
	if err == nil {
		m.binding.speaks(conn.Conn(), false)
	}
	return conn, err
}

// EnsureSchema creates the bound schema if it is missing. Migrating does that by
// itself.
func (m *Manager) EnsureSchema(ctx context.Context) error {
	if m.Schema() == "" {
		return errors.New("pgdbm: EnsureSchema: no schema is bound")
	}
	var exists bool
	err := m.QueryRow(ctx, "select exists (select from pg_namespace where nspname = $1)", m.Schema()).Scan(&exists)
	if err != nil || exists {
		return err
	}
	_, err = m.asLogin().Exec(ctx, "create schema if not exists {{schema}}")
	if sqlState(err) == "23505" { // somebody else created it in the same moment
		return nil
	}
	return err
}

// TableExists reports whether the bound schema has a table (or view, or
// partitioned or foreign table) of that name, which is unqualified.
func (m *Manager) TableExists(ctx context.Context, table string) (bool, error) {
	if _, err := m.Qualify(table); err != nil {
		return false, err
	}
	schema := m.Schema()
	if schema == "" {
		schema = "public"
	}
	var exists bool
	err := m.QueryRow(ctx, `select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p', 'v', 'm', 'f'))`, schema, table).Scan(&exists)
	return exists, err
}

// Stat returns a snapshot of the pool's statistics.
func (m *Manager) Stat() *pgxpool.Stat { return m.pool.Stat() }

// Health is [Pool.Health].
func (m *Manager) Health(ctx context.Context) error { return m.pool.Health(ctx) }
