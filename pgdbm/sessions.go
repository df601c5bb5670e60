package pgdbm

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/samber/lo"
)

// Session is a connection of anybody to the pool's database. Seeing what other
// roles do needs membership in pg_read_all_stats; without it their State, Wait
// and Query are hidden.
type Session struct {
	PID         int32 // 0: a prepared transaction
	User        string
	Application string
	Client      string // address; "" for a socket of the server's machine
	State       string // active, idle in transaction, …
	Wait        string // what it waits for, such as "Lock: relation"; "" for nothing

	// Query is the statement that runs, or the last one. It may hold values: this
	// package never logs it.
	Query string

	InState       time.Duration // how long the statement runs, or the session idles
	InTransaction time.Duration // since the transaction began; 0 for none
}

// Blocked is a session that waits for a lock.
type Blocked struct {
	Session
	Lock     string        // relation, transactionid (a row that another transaction changed), advisory, …
	Mode     string        // wanted, such as AccessExclusiveLock
	Relation string        // schema.table, where the lock is on one or on its row; else ""
	Waiting  time.Duration // for this lock

	// By are those who hold the lock or wait for it ahead of this one. Who is not
	// blocked itself is at the root: look at its Query and State.
	By []Session
}

// sessionColumns are the columns of a Session, of pg_stat_activity a.
const sessionColumns = `a.pid, coalesce(a.usename, '') as user, coalesce(a.application_name, '') as application,
	coalesce(host(a.client_addr), '') as client, coalesce(a.state, '') as state,
	coalesce(a.wait_event_type || ': ' || a.wait_event, '') as wait, coalesce(a.query, '') as query,
	extract(epoch from clock_timestamp() - case when a.state = 'active' then a.query_start else a.state_change end)::float8 as in_state_seconds,
	extract(epoch from clock_timestamp() - a.xact_start)::float8 as in_transaction_seconds`

type sessionRow struct {
	PID                                                  int32
	User, Application, Client, State, Wait, Query        string
	InStateSeconds, InTransactionSeconds, WaitingSeconds *float64
}

func (r sessionRow) session() Session {
	s := Session{
		PID: r.PID, User: r.User, Application: r.Application, Client: r.Client, State: r.State, Wait: r.Wait, Query: r.Query,
		InState: seconds(r.InStateSeconds), InTransaction: seconds(r.InTransactionSeconds),
	}
	if s.Wait == "Client: ClientRead" { // for its own client's next statement
		s.Wait = ""
	}
	return s
}

func seconds(s *float64) time.Duration {
	if s == nil {
		return 0
	}
	return max(0, time.Duration(*s*float64(time.Second)))
}

// LongRunning returns the sessions of the database whose statement or
// transaction has lasted atLeast, the longest first. Those that are idle in a
// transaction are among them: they hold its locks and keep vacuum from its work.
func (p *Pool) LongRunning(ctx context.Context, atLeast time.Duration) ([]Session, error) {
	rows, err := FetchAll[sessionRow](ctx, p.unbound(), `select `+sessionColumns+` from pg_stat_activity a
		where a.datname = current_database() and a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
			and a.state <> 'idle' and least(a.xact_start, a.query_start) <= clock_timestamp() - make_interval(secs => $1)
		order by least(a.xact_start, a.query_start), a.pid`, atLeast.Seconds())
	if err != nil {
		return nil, err
	}
	return lo.Map(rows, func(r sessionRow, _ int) Session { return r.session() }), nil
}

type blockedRow struct {
	sessionRow
	Blockers             []int32 // nil for one that only blocks
	Lock, Mode, Relation string
}

// Blocked returns the sessions of the database that wait for a lock, the longest
// wait first, and who keeps them waiting.
//
// The server stops all changes of its lock table for a moment for each of
// them: ask when there is a reason, not every second.
func (p *Pool) Blocked(ctx context.Context) ([]Blocked, error) {
	rows, err := FetchAll[blockedRow](ctx, p.unbound(), `
		with waiting as materialized (
			select pid, (select coalesce(array_agg(distinct b), '{}') from unnest(pg_blocking_pids(pid)) b) as blockers
			from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
		)
		select `+sessionColumns+`, w.blockers, coalesce(l.locktype, '') as lock, coalesce(l.mode, '') as mode,
			coalesce(n.nspname || '.' || c.relname, '') as relation,
			extract(epoch from clock_timestamp() - coalesce(l.waitstart, a.query_start))::float8 as waiting_seconds
		from pg_stat_activity a
		left join waiting w on w.pid = a.pid
		left join pg_locks l on l.pid = w.pid and not l.granted
		left join pg_locks t on t.pid = w.pid and t.locktype = 'tuple' and t.granted -- the row's, while its changer is waited for
		left join pg_class c on c.oid = coalesce(l.relation, t.relation)
		left join pg_namespace n on n.oid = c.relnamespace
		where a.pid in (select pid from waiting union select unnest(blockers) from waiting)`)
	if err != nil {
		return nil, err
	}
	byPID := lo.KeyBy(rows, func(r blockedRow) int32 { return r.PID })
	blocked := []Blocked{}
	for _, r := range byPID {
		if len(r.Blockers) == 0 {
			continue
		}
		b := Blocked{Session: r.session(), Lock: r.Lock, Mode: r.Mode, Relation: r.Relation, Waiting: seconds(r.WaitingSeconds)}
		for _, pid := range r.Blockers {
			by := byPID[pid].session()
			by.PID = pid // also of one that has gone meanwhile
			b.By = append(b.By, by)
		}
		blocked = append(blocked, b)
	}
	slices.SortFunc(blocked, func(a, b Blocked) int {
		return cmp.Or(cmp.Compare(b.Waiting, a.Waiting), cmp.Compare(a.PID, b.PID))
	})
	return blocked, nil
}

// unbound returns a manager for questions about the whole database.
func (p *Pool) unbound() *Manager {
	b := &Binding{}
	b.counters = p.monitor.countersOf(b)
	return &Manager{pool: p, binding: b}
}
