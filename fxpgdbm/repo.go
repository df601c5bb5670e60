package fxpgdbm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/samber/lo"
	"go.uber.org/fx"

	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

// Repo provides a *repo.Repository[T] of a table of the enclosing module; use it
// among the options of [Register]. A mistake in the tags of T is an error of fx.New.
//
// When the application starts, T is compared with the table, after migrating and
// before any service starts, whether or not somebody asks for the repository: see
// [repo.Repository.Verify]. The application does not start with one that does not
// fit. Say it also for a repository that a constructor makes by itself.
// [Config].SkipRepoVerify starts all the same.
func Repo[T any](table string) fx.Option {
	open := func(db pgdbm.DB) (*repo.Repository[T], error) { return repo.New[T](db, table) }
	return fx.Provide(open, fx.Annotate(func(s scope) declared {
		return declared{s.Module, table, func(db pgdbm.DB) (verifier, error) { return open(db) }}
	}, fx.ResultTags(repoGroup)))
}

// repoGroup is the value group of all that [Repo] declares.
const repoGroup = `group:"pgdbm.repositories"`

// declared is a repository that an application has, and how to make it. It does not
// need the set of modules, which makes sure that they fit.
type declared struct {
	module module.Module
	table  string
	open   func(pgdbm.DB) (verifier, error)
}

// verifier is what the start of an application does with a repository.
type verifier interface {
	Verify(ctx context.Context) error
}

// repository is one that was declared, on its module's manager.
type repository struct {
	verifier

	module, schema, table string
}

// openRepos makes the declared repositories, in the order of the set's modules.
func openRepos(set *module.Set, all []declared) ([]repository, error) {
	order := lo.Map(set.Order(), func(m module.Module, _ int) string { return m.Name })
	all = slices.SortedFunc(slices.Values(all), func(a, b declared) int {
		if d := slices.Index(order, a.module.Name) - slices.Index(order, b.module.Name); d != 0 {
			return d
		}
		return strings.Compare(a.table, b.table)
	})
	var errs []error
	repos := make([]repository, len(all))
	for i, d := range all {
		db, err := set.Manager(d.module)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		opened, err := d.open(db)
		if err != nil {
			errs = append(errs, fmt.Errorf("fxpgdbm: module %q: %w", d.module.Name, err))
			continue
		}
		repos[i] = repository{opened, d.module.Name, db.Schema(), d.table}
	}
	return repos, errors.Join(errs...)
}

// verifyRepos compares all repositories with their tables. It uses one connection,
// for the shortest time: two queries of the catalog for each.
func (r *run) verifyRepos(ctx context.Context) error {
	defer r.verifying("")
	var errs []error
	misfit := false
	for _, repo := range r.repos {
		r.verifying(fmt.Sprintf("%s (schema %s): comparing a repository with table %s", repo.module, repo.schema, repo.table))
		err := repo.Verify(ctx)
		if err == nil {
			continue
		}
		errs = append(errs, fmt.Errorf("%s (schema %s): %w", repo.module, repo.schema, err))
		r.log.LogAttrs(context.WithoutCancel(ctx), slog.LevelError, "repository does not fit", slog.String("module", repo.module),
			slog.String("schema", repo.schema), slog.String("table", repo.table), slog.String("error", err.Error()))
		if _, ok := errors.AsType[*pgdbm.Error](err); !ok || errors.Is(err, pgdbm.ErrUndefined) {
			misfit = true
		}
		if ctx.Err() != nil || errors.Is(err, pgdbm.ErrUnavailable) {
			break // the next one would meet it as well
		}
	}
	if len(errs) == 0 {
		return nil
	}
	hint := ""
	if misfit {
		hint = "\nadd a migration or mend the struct; to start all the same set SkipRepoVerify in fxpgdbm.Config"
	}
	return fmt.Errorf("fxpgdbm: verifying the repositories failed, and nothing was started: %w%s", errors.Join(errs...), hint)
}

// verifying remembers what is compared.
func (r *run) verifying(repo string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.repo = repo
}
