package migrations_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// folder is a set of files that the random walk edits.
type folder struct {
	text map[int]string // by version: what its file says
	last int            // the highest version
	rep  string         // the repeatable file
	auto map[int]bool   // no-transaction files
	cps  map[int]int    // checkpoint to the last version that it covers
}

// fs renders the folder. File n creates table t<n>; a checkpoint creates those of all before it.
func (f *folder) fs() fstest.MapFS {
	var out []string
	for v, text := range f.text {
		head := ""
		if f.auto[v] {
			head = auto
		}
		if to := f.cps[v]; to > 0 {
			head = fmt.Sprintf("-- pgdbm:checkpoint 1-%d\n", to)
		}
		out = append(out, fmt.Sprintf("%d_f.sql", v), head+text)
		if f.cps[v] == 0 {
			out = append(out, fmt.Sprintf("%d_f.down.sql", v), fmt.Sprintf("drop table {{schema}}.t%d", v))
		}
	}
	if f.rep != "" {
		out = append(out, "R_r.sql", f.rep)
	}
	return files(out...)
}

// Whatever happens to files and records, Plan, Status, Verify and Up agree, and Up leaves nothing to do.
func TestRandomWalk(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	for seed := range 12 {
		walk(t, pool, uint64(seed))
		if t.Failed() {
			return
		}
	}
	nothingLeft(t, pool)
}

// walk edits, applies, undoes and repairs at random, and checks after each step.
func walk(t *testing.T, pool *pgdbm.Pool, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1)) // the same walks each time
	schema := fmt.Sprintf("s%d", seed)
	f := &folder{text: map[int]string{}, auto: map[int]bool{}, cps: map[int]int{}}
	var log []string
	say := func(format string, args ...any) { log = append(log, fmt.Sprintf(format, args...)) }
	defer func() {
		if t.Failed() {
			t.Logf("seed %d:\n%s", seed, strings.Join(log, "\n"))
		}
	}()
	create := func(v int) string { return fmt.Sprintf("create table {{schema}}.t%d (n int)", v) }
	versions := func() []int { return slices.Sorted(maps.Keys(f.text)) }
	covered := map[int][]int{} // by checkpoint: the tables that it creates
	for range 25 {
		cfg := migrations.Config{OutOfOrder: r.IntN(3) == 0}
		switch vs := versions(); r.IntN(11) {
		case 0, 1, 2:
			f.last += 1 + r.IntN(3)
			f.text[f.last] = create(f.last)
			f.auto[f.last] = r.IntN(4) == 0
			say("add %d auto %v", f.last, f.auto[f.last])
		case 3: // late
			if v := 1 + r.IntN(max(f.last, 1)); f.text[v] == "" && v < f.last && len(f.cps) == 0 {
				f.text[v] = create(v)
				say("late %d", v)
			}
		case 4:
			f.rep = fmt.Sprintf("create or replace view {{schema}}.v as select %d as n", r.IntN(3))
			say("rep %s", f.rep)
		case 5: // checkpoint
			if len(vs) == 0 || len(f.cps) > 1 {
				continue
			}
			to := vs[len(vs)-1]
			if f.cps[to] > 0 {
				continue
			}
			f.last = to + 1
			set := map[int]bool{}
			for _, v := range vs {
				if f.cps[v] == 0 {
					set[v] = true
				} else {
					for _, c := range covered[v] {
						set[c] = true
					}
				}
			}
			var sql []string
			for v := 1; v <= to; v++ {
				if set[v] {
					sql = append(sql, create(v))
					covered[f.last] = append(covered[f.last], v)
				}
			}
			f.text[f.last], f.cps[f.last] = strings.Join(sql, ";\n"), to
			say("checkpoint %d 1-%d (%v)", f.last, to, covered[f.last])
		case 6: // delete what the newest checkpoint covers
			newest := 0
			for v := range f.cps {
				newest = max(newest, v)
			}
			if newest == 0 || r.IntN(2) == 0 {
				continue
			}
			m := newMigrator(t, pool, cfg, migrations.Target{Module: "app", Schema: schema, Source: load(t, f.fs())})
			if s, err := m.Status(t.Context()); err != nil || s[0].Err != nil || len(s[0].Pending) > 0 {
				continue // what has not run cannot be told from what never was
			}
			for v := range f.text {
				if v < newest {
					delete(f.text, v)
					delete(f.cps, v)
				}
			}
			say("delete below %d", newest)
		case 7: // down
			m := newMigrator(t, pool, cfg, migrations.Target{Module: "app", Schema: schema, Source: load(t, f.fs())})
			to := int64(r.IntN(f.last + 1))
			report, err := m.Down(t.Context(), "app", to)
			say("down %d: %v %v", to, applied(report), err)
		case 8:
			m := newMigrator(t, pool, cfg, migrations.Target{Module: "app", Schema: schema, Source: load(t, f.fs())})
			if len(vs) > 0 {
				v := vs[r.IntN(len(vs))]
				how := []migrations.Resolution{migrations.ResolveForget, migrations.ResolveAccept, migrations.ResolveRetry}[r.IntN(3)]
				err := m.Resolve(t.Context(), "app", fmt.Sprint(v), how)
				say("resolve %d %s: %v", v, how, err)
			}
		case 9: // the schema is dropped: a fresh one
			if r.IntN(3) == 0 {
				exec(t, pool, "drop schema if exists "+schema+" cascade")
				say("drop schema")
			}
		default:
			if len(vs) > 0 {
				m := newMigrator(t, pool, cfg, migrations.Target{Module: "app", Schema: schema, Source: load(t, f.fs())})
				to := vs[r.IntN(len(vs))]
				report, err := m.Up(t.Context(), migrations.To(int64(to)))
				say("up to %d: %v %v", to, applied(report), err)
				if e, ok := errors.AsType[*migrations.MigrationError](err); ok && e.SQLState != "" {
					t.Errorf("it ran twice: %v", err)
					return
				}
			}
		}
		if !check(t, pool, schema, f, cfg, covered, say, r.IntN(3) == 0) {
			return
		}
	}
}

// check compares what the calls say of a schema, and runs Up if told to.
func check(t *testing.T, pool *pgdbm.Pool, schema string, f *folder, cfg migrations.Config, covered map[int][]int, say func(string, ...any), run bool) bool {
	t.Helper()
	m := newMigrator(t, pool, cfg, migrations.Target{Module: "app", Schema: schema, Source: load(t, f.fs())})
	status, err := m.Status(t.Context())
	testkit.NoError(t, err)
	verify := m.Verify(t.Context())
	plan, planErr := m.Plan(t.Context())
	if status[0].Current != (verify == nil) {
		t.Errorf("status %+v, verify %v", status[0], verify)
		return false
	}
	if (planErr == nil) != (status[0].Err == nil) || planErr != nil && planErr.Error() != status[0].Err.Error() {
		t.Errorf("status %v, plan %v", status[0].Err, planErr)
		return false
	}
	if planErr == nil {
		var names []string
		for _, s := range plan.Steps {
			names = append(names, s.File)
		}
		if fmt.Sprint(names) != fmt.Sprint(status[0].Pending) {
			t.Errorf("plan %v, status %v", names, status[0].Pending)
			return false
		}
	}
	if !run {
		return true
	}
	report, err := m.Up(t.Context())
	say("up (out of order %v): %v %v", cfg.OutOfOrder, applied(report), err)
	if (err == nil) != (planErr == nil) {
		t.Errorf("up %v, plan %v", err, planErr)
		return false
	}
	if err != nil {
		if len(report.Applied) > 0 {
			t.Errorf("something was applied")
		}
		return true
	}
	if fmt.Sprint(applied(report)) != strings.Join(status[0].Pending, " ") {
		t.Errorf("applied %v, pending %v", applied(report), status[0].Pending)
		return false
	}
	if again, err := m.Up(t.Context()); err != nil || len(again.Applied) > 0 || m.Verify(t.Context()) != nil {
		t.Errorf("again: %v %v %v", applied(again), err, m.Verify(t.Context()))
		return false
	}
	// Every table of the folder is there.
	for v := range f.text {
		tables := []int{v}
		if f.cps[v] > 0 {
			tables = covered[v]
		}
		for _, n := range tables {
			if !value[bool](t, pool, "select to_regclass($1) is not null", fmt.Sprintf("%s.t%d", schema, n)) {
				t.Errorf("there is no table t%d, although %d_f.sql is applied", n, v)
				return false
			}
		}
	}
	return true
}
