package migrations

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/samber/lo"
)

// state is what a head stands for. Tenants with the same head have the same
// migrations applied, so what is known of one is known of all.
type state struct {
	decision
	rows  []Record
	wrong bool     // decide has an error for these rows
	names []string // of the pending files
	steps []step   // the first pending files, as far as each is a transaction of plain statements
}

// step is a file that can be run without reading rows.
type step struct {
	pending
	head     string // behind it
	replaces string // the checksum of the row that a repeatable file has
}

// stateOf works out what the rows of a target stand for.
func (m *Migrator) stateOf(t *target, rows []Record) *state {
	d, err := t.decide(rows, scope{}, m.cfg.OutOfOrder)
	s := &state{decision: d, rows: rows, wrong: err != nil, names: lo.Map(d.pending, func(p pending, _ int) string { return p.File })}
	if s.wrong || len(d.failed) > 0 {
		return s
	}
	applied := make(map[string]string, len(rows)+len(d.pending))
	for _, r := range rows {
		if r.Kind != KindAudit {
			applied[r.Key] = r.Checksum
		}
	}
	for _, p := range d.pending {
		if !p.plain() {
			break
		}
		next := step{pending: p, replaces: applied[p.Key]}
		applied[p.Key] = p.Checksum
		next.head = headOf(lo.MapToSlice(applied, func(key, checksum string) recorded { return recorded{key, checksum} }))
		s.steps = append(s.steps, next)
	}
	return s
}

// plain reports whether the file is nothing but statements in one transaction.
func (p pending) plain() bool {
	return p.Transactional && (p.Kind == KindSQL || p.Kind == KindRepeatable) && !p.up.directives.exclusive && p.resume == 0
}

// maxStates bounds the heads that are remembered.
const maxStates = 1 << 10

// foresee lists the rows that a tenant has on its way up, by their head, so that
// nothing has to be read of tenants that are on it.
func (t *target) foresee() map[string][]Record {
	var versioned, rest []Record
	for _, f := range t.files() {
		r := Record{
			Key: f.Key, Version: f.Version, Name: f.Name, Kind: f.Kind, Checksum: f.Checksum, Algorithm: checksumAlgorithm,
			Status: StatusApplied, Statements: f.Statements, Done: f.Statements,
		}
		switch f.Kind {
		case KindRepeatable:
			rest = append(rest, r)
		case KindSQL, KindGo:
			versioned = append(versioned, r)
		default: // a checkpoint is not run by who is on the way
		}
	}
	out := map[string][]Record{}
	for n := range len(versioned) + 1 {
		for _, rows := range [][]Record{versioned[:n:n], append(versioned[:n:n], rest...)} {
			out[headOfRecords(rows)] = rows
		}
	}
	return out
}

func headOfRecords(rows []Record) string {
	applied := lo.Filter(rows, func(r Record, _ int) bool { return r.Status == StatusApplied })
	return headOf(lo.Map(applied, func(r Record, _ int) recorded { return recorded{r.Key, r.Checksum} }))
}

// known returns the state of a head, nil when it is not known.
func (ts *Tenants) known(head string) *state {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	s := ts.states[head]
	if s == nil {
		if ts.foreseen == nil {
			ts.foreseen = ts.proto.foresee()
		}
		if rows, ok := ts.foreseen[head]; ok {
			s = ts.m.stateOf(&ts.proto, rows)
			ts.states[head] = s
		}
	}
	return s
}

func (ts *Tenants) remember(head string, s *state) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if len(ts.states) >= maxStates {
		clear(ts.states)
	}
	ts.states[head] = s
}

// job is a tenant that something may have to be done for.
type job struct {
	*target
	create bool   // when it does not exist
	exists bool   // it has a tracking table
	oid    uint32 // of the tracking table
	head   string // "" when only the rows tell
	alone  bool   // the head is all that there is in the tracking table
	failed string // the key of a no-transaction file that did not finish
	state  *state // nil when the tenant does not exist
	err    error  // what keeps it from being migrated
	files  int    // that were applied
	began  time.Time
}

// done reports whether there is nothing to do.
func (j *job) done() bool {
	return j.exists && j.err == nil && j.state != nil && len(j.state.pending) == 0
}

// found notes what the catalog says of the job's schema.
func (j *job) found(oid uint32, heads map[string]string) {
	j.exists, j.oid, j.state, j.err = oid != 0, oid, nil, nil
	j.head, j.failed = heads[j.Module], heads[j.Module+failedMark]
	j.alone = j.head != "" && len(heads) == 1
	if len(heads) > 0 && j.head == "" && j.failed == "" {
		j.err = j.fail(fmt.Errorf("the schema belongs to another module: %s", listOf(heads)))
	}
}

// conclude finds the states of jobs that have been found.
func (ts *Tenants) conclude(ctx context.Context, jobs []*job) error {
	for {
		var unknown []*job
		asked := map[string]bool{}
		for _, j := range jobs {
			if !j.exists || j.err != nil || j.state != nil {
				continue
			}
			_, failed := lo.Find(ts.proto.files(), func(f *file) bool { return f.Key == j.failed })
			tells := j.head != "" && (j.failed == "" || failed) // the head leaves out what failed
			if tells {
				j.state = ts.known(j.head)
			}
			if j.state == nil && (!tells || !asked[j.head]) {
				unknown = append(unknown, j)
				asked[j.head] = asked[j.head] || tells
			}
			if j.state != nil && j.state.wrong { // the same for all, but for the schema's name
				_, j.err = j.decide(j.state.rows, scope{}, ts.m.cfg.OutOfOrder)
			}
		}
		if len(unknown) == 0 {
			return nil
		}
		if err := ts.read(ctx, unknown); err != nil {
			return err
		}
	}
}

// read reads the rows of jobs, many at a time, or, where one of them cannot be
// read, one by one.
func (ts *Tenants) read(ctx context.Context, jobs []*job) error {
	for chunk := range slices.Chunk(jobs, schemasPerQuery) {
		err := ts.readChunk(ctx, chunk)
		if err == nil || len(chunk) == 1 && ctx.Err() == nil && !isConnError(err) {
			continue
		}
		if ctx.Err() != nil || isConnError(err) {
			return fmt.Errorf("migrations: %w", during("reading the records", err))
		}
		for i := range chunk {
			if err := ts.read(ctx, chunk[i:i+1]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (ts *Tenants) readChunk(ctx context.Context, jobs []*job) error {
	rows, err := readRecords(ctx, ts.m.pool.Pgx(), lo.Map(jobs, func(j *job, _ int) *target { return j.target }), false)
	if err != nil && len(jobs) == 1 {
		j := jobs[0]
		if isGone(err) { // dropped since
			j.exists = false
		} else {
			j.err = j.fail(during("reading the records", err))
		}
	}
	if err != nil {
		return err
	}
	for _, j := range jobs {
		j.state = ts.m.stateOf(j.target, rows[j.target])
		if j.state.wrong {
			_, j.err = j.decide(j.state.rows, scope{}, ts.m.cfg.OutOfOrder)
		}
		if j.head != "" && headOfRecords(rows[j.target]) == j.head && len(j.state.failed) == 0 {
			ts.remember(j.head, j.state)
		}
	}
	return nil
}

// isGone reports whether a table or schema did not exist.
func isGone(err error) bool {
	state := sqlState(err)
	return state == "42P01" || state == "3F000"
}
