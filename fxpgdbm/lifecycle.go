package fxpgdbm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/fx"

	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Config says how [Module] starts; supply it with fx.Supply. Its zero value
// applies all migrations.
type Config struct {
	// OnStart is what happens to the schemas when the application starts.
	OnStart Mode

	// Migrations configures the run.
	Migrations migrations.Config

	// SkipRepoVerify starts without comparing the repositories that [Repo] declares
	// with their tables.
	SkipRepoVerify bool
}

// Mode is the value of [Config.OnStart].
type Mode string

// The modes.
const (
	Apply  Mode = ""       // bring every schema up to date
	Verify Mode = "verify" // refuse to start unless every schema is up to date
	Skip   Mode = "skip"   // do not look, neither at the schemas nor at what is in them
)

// NewPool opens the application's pool: it connects when lc starts and is
// closed when lc stops. [Module] provides it.
func NewPool(lc fx.Lifecycle, cfg pgdbm.Config) (*pgdbm.Pool, error) {
	pool, err := pgdbm.New(cfg)
	if err != nil {
		return nil, err
	}
	lc.Append(fx.Hook{
		OnStart: func(ctx context.Context) error {
			return within(ctx, "fx.StartTimeout", func() string { return "connecting" }, pool.Connect)
		},
		OnStop: func(ctx context.Context) error {
			return within(ctx, "fx.StopTimeout", func() string { return "closing the pool" }, pool.Close)
		},
	})
	return pool, nil
}

type setParams struct {
	fx.In

	Lifecycle    fx.Lifecycle
	Pool         *pgdbm.Pool
	Modules      []module.Module `group:"pgdbm.modules"`
	Repositories []declared      `group:"pgdbm.repositories"`
	Config       Config          `optional:"true"`
}

// newSet makes the set of all registered modules, migrated when the application
// starts, and their repositories verified. Whatever needs a manager needs the set
// first, so this hook runs before those of all services.
func newSet(p setParams) (*module.Set, error) {
	switch p.Config.OnStart {
	case Apply, Verify, Skip:
	default:
		return nil, fmt.Errorf("fxpgdbm: Config.OnStart %q: use Apply, Verify or Skip", p.Config.OnStart)
	}
	set, err := module.NewSet(p.Pool, p.Modules...)
	if err != nil {
		return nil, err
	}
	repos, err := openRepos(set, p.Repositories)
	if err != nil {
		return nil, err
	}
	run := newRun(set, repos, p.Pool, p.Config)
	p.Lifecycle.Append(fx.StartHook(func(ctx context.Context) error {
		return within(ctx, "fx.StartTimeout", run.where, run.start)
	}))
	return set, nil
}

// margin is what a hook leaves of its time, at most: fx drops the error of a
// hook that outlives its context, and ours says where time was lost.
const margin = time.Second

// within runs a hook with a deadline slightly before that of ctx, and says which
// option to raise when it was reached. A hook that the deadline does not end, since
// a server does not even answer that it stops, is left behind in the middle of the
// margin; where says what it does.
func within(ctx context.Context, option string, where func() string, hook func(context.Context) error) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		return hook(ctx)
	}
	left := time.Until(deadline)
	spare := min(margin, left/10)
	bounded, cancel := context.WithDeadline(ctx, deadline.Add(-spare))
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- hook(bounded) }()
	timer := time.NewTimer(left - spare/2)
	defer timer.Stop()
	var err error
	select {
	case err = <-result:
	case <-timer.C:
		err = fmt.Errorf("fxpgdbm: %s: no answer: %w", where(), context.DeadlineExceeded)
	}
	if err != nil && bounded.Err() != nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w (%s was left; raise %s at the top level of the application)", err, left.Round(time.Millisecond), option)
	}
	return err
}
