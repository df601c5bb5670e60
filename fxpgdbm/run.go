package fxpgdbm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/samber/lo"

	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// run brings the schemas up to date when the application starts, and says in the log
// how far that is. It is the set's Observer. Then it verifies the repositories.
type run struct {
	cfg   Config
	set   *module.Set
	repos []repository
	next  migrations.Observer // the application's; may be nil
	log   *slog.Logger

	mu      sync.Mutex
	active  bool             // migrate runs; the set's tenants, too, tell us what happens
	file    migrations.Event // of the file that runs; none when File is ""
	index   migrations.Event // how far its index is; none when Phase is ""
	started time.Time        // when it began
	done    int
	total   int
	repo    string // that is verified; "" when none is
}

// newRun makes the run observe the set.
func newRun(set *module.Set, repos []repository, pool *pgdbm.Pool, cfg Config) *run {
	r := &run{cfg: cfg, set: set, repos: repos, next: cfg.Migrations.Observer, log: cfg.Migrations.Logger}
	if r.log == nil {
		r.log = pool.Logger()
	}
	set.Migrations = cfg.Migrations
	set.Migrations.Observer = r
	return r
}

// start does what the application wants done before its services start.
func (r *run) start(ctx context.Context) (err error) {
	switch r.cfg.OnStart {
	case Skip:
		return nil
	case Verify:
		err = r.verify(ctx)
	default:
		err = r.migrate(ctx)
	}
	if err != nil || r.cfg.SkipRepoVerify {
		return err
	}
	return r.verifyRepos(ctx)
}

// Event remembers how far the run is, and passes the event on.
func (r *run) Event(ctx context.Context, e migrations.Event) {
	r.see(ctx, e)
	if r.next != nil {
		r.next.Event(ctx, e)
	}
}

func (r *run) see(ctx context.Context, e migrations.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.active {
		return
	}
	switch e.Kind {
	case migrations.EventRunStarted:
		r.done, r.total = 0, e.Total
		r.log.InfoContext(ctx, "migrations are pending", "files", e.Total)
	case migrations.EventFileStarted:
		r.file, r.index = e, migrations.Event{}
		if e.Attempt == 1 {
			r.started = time.Now()
		}
	case migrations.EventStatement:
		r.file.Statement, r.index = e.Statement, migrations.Event{}
	case migrations.EventIndexProgress:
		r.index = e
	case migrations.EventFileApplied:
		r.done, r.total = e.Done, e.Total
		r.file = migrations.Event{}
	case migrations.EventFileSkipped:
		r.file = migrations.Event{}
	}
}

// The log says how far a run is after the first of these times, and again after twice
// the time, until it says so at the second.
const (
	firstProgress = time.Second
	lastProgress  = 15 * time.Second
)

// migrate applies what is pending.
func (r *run) migrate(ctx context.Context) error {
	r.setActive(true)
	defer r.setActive(false)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		timer := time.NewTimer(firstProgress)
		defer timer.Stop()
		for pause := 2 * firstProgress; ; pause = min(2*pause, lastProgress) {
			select {
			case <-stop:
				return
			case <-timer.C:
				r.progress(ctx)
				timer.Reset(pause)
			}
		}
	})
	report, err := r.set.Migrate(ctx)
	close(stop)
	wg.Wait()
	switch {
	case err != nil:
		r.logFailure(ctx, err)
		return r.failed(report, err)
	case len(report.Applied) == 0:
		r.log.InfoContext(ctx, "schemas are up to date", "modules", len(r.set.Order()), "dur", report.Duration)
	default:
		r.log.InfoContext(ctx, "schemas are migrated", "modules", len(r.set.Order()), "files", len(report.Applied), "dur", report.Duration)
	}
	return nil
}

func (r *run) setActive(active bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active = active
}

// verify refuses what is pending.
func (r *run) verify(ctx context.Context) error {
	err := r.set.Verify(ctx)
	if errors.Is(err, migrations.ErrPending) {
		err = fmt.Errorf("fxpgdbm: Config.OnStart is Verify, and schemas are not up to date: %w\napply the migrations first, with a process that does not only verify", err)
	}
	if err != nil {
		r.logFailure(ctx, err)
	}
	return err
}

// progress logs how far the run is.
func (r *run) progress(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.total == 0 {
		return // still looking, or waiting for another run, which the log says
	}
	attrs := []slog.Attr{slog.Int("done", r.done), slog.Int("total", r.total)}
	if f := r.file; f.File != "" {
		attrs = append(attrs, slog.String("module", f.Module), slog.String("schema", f.Schema), slog.String("file", f.File))
		if f.Statement > 0 { // the server says so at once of no-transaction files alone
			attrs = append(attrs, slog.Int("statements_done", f.Statement))
		}
		attrs = append(attrs, slog.Int("statements", f.Statements), slog.Duration("dur", time.Since(r.started)))
	}
	if x := r.index; x.Phase != "" {
		attrs = append(attrs, slog.String("phase", x.Phase), slog.Int("phase_done", x.Done), slog.Int("phase_total", x.Total))
	}
	r.log.LogAttrs(ctx, slog.LevelInfo, "migrating", attrs...)
}

// where says what the run does.
func (r *run) where() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch f := r.file; {
	case r.repo != "":
		return r.repo
	case f.File != "":
		return fmt.Sprintf("%s (schema %s): %s, when %d of %d files were done", f.Module, f.Schema, f.File, r.done, r.total)
	case r.total > 0:
		return fmt.Sprintf("%d of %d files done", r.done, r.total)
	default:
		return "looking for migrations"
	}
}

func (r *run) logFailure(ctx context.Context, err error) {
	var attrs []slog.Attr
	if e, ok := errors.AsType[*migrations.MigrationError](err); ok {
		attrs = append(attrs, slog.String("module", e.Module), slog.String("schema", e.Schema), slog.String("file", e.File),
			slog.Int("line", e.Line), slog.String("sqlstate", e.SQLState))
	}
	r.log.LogAttrs(context.WithoutCancel(ctx), slog.LevelError, "migrating failed", append(attrs, slog.String("error", err.Error()))...)
}

// failed says what the failure of a migration means for the application.
func (r *run) failed(report *migrations.Report, err error) error {
	lines := []string{""}
	e, ok := errors.AsType[*migrations.MigrationError](err)
	if report != nil {
		lines = append(lines, kept(report))
	}
	if later := r.after(e, report); len(later) > 0 {
		lines = append(lines, "not reached: "+strings.Join(later, ", "))
	}
	switch {
	case errors.Is(err, migrations.ErrLockTimeout):
		lines = append(lines, "start again when the other run has ended, or raise LockTimeout in fxpgdbm.Config.Migrations")
	case ok && e.File != "" && e.SQLState != "" && !errors.Is(err, pgdbm.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded):
		lines = append(lines, fmt.Sprintf("mend %s of module %s and start again: of a file that failed nothing remains, and a no-transaction file goes on at its failed statement", e.File, e.Module))
	}
	return fmt.Errorf("fxpgdbm: migrating failed, and nothing was started: %w%s", err, strings.Join(lines, "\n"))
}

// after returns the modules behind the one that failed. When nothing was applied, the
// failure may have been found before anything ran.
func (r *run) after(e *migrations.MigrationError, report *migrations.Report) []string {
	names := lo.Map(r.set.Order(), func(m module.Module, _ int) string { return m.Name })
	if e == nil || report == nil || r.nothingBegan() {
		return nil
	}
	i := slices.Index(names, e.Module)
	if i < 0 {
		return nil
	}
	return names[i+1:]
}

func (r *run) nothingBegan() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total == 0
}

// kept lists what a run applied, by module.
func kept(report *migrations.Report) string {
	if len(report.Applied) == 0 {
		return "this start applied nothing"
	}
	var parts []string
	for rest := report.Applied; len(rest) > 0; {
		n := slices.IndexFunc(rest, func(a migrations.Applied) bool { return a.Module != rest[0].Module || a.Schema != rest[0].Schema })
		if n < 0 {
			n = len(rest)
		}
		files := lo.Map(rest[:n], func(a migrations.Applied, _ int) string { return a.File })
		if n > 3 {
			files = []string{fmt.Sprintf("%s … %s (%d files)", files[0], files[n-1], n)}
		}
		parts = append(parts, rest[0].Module+": "+strings.Join(files, ", "))
		rest = rest[n:]
	}
	return "applied before, and kept: " + strings.Join(parts, "; ")
}
