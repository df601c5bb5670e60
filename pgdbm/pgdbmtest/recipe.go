package pgdbmtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// recipe is what the options ask for.
type recipe struct {
	extensions []string
	schemas    []string
	modules    []module.Module
	migrations fs.FS
	steps      []step
	role       string

	poolSize   int32 // 0: the pool that testkit lends
	minVersion int
	fresh      bool
	keepFailed bool

	errs []error
}

// step fills the template once it is migrated.
type step struct {
	about string   // for errors
	key   []string // all that it depends on
	run   func(ctx context.Context, db pgdbm.DB) error
}

func newRecipe(opts []Option) *recipe {
	r := &recipe{}
	for _, opt := range opts {
		opt(r)
	}
	return r
}

func (r *recipe) wrong(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("pgdbmtest: "+format, args...))
}

// schema returns the schema to bind, "" for none.
func (r *recipe) schema() string {
	switch {
	case len(r.schemas) > 0:
		return r.schemas[len(r.schemas)-1]
	case r.migrations != nil:
		return "public"
	case len(r.modules) == 1:
		return schemaOf(r.modules[0])
	default:
		return ""
	}
}

// mounted returns the modules to migrate, with one for WithMigrations.
func (r *recipe) mounted() []module.Module {
	if r.migrations == nil {
		return r.modules
	}
	own := module.Module{Name: r.schema(), Migrations: r.migrations, DependsOn: r.modules}
	return append(slices.Clip(r.modules), own)
}

// template returns the template that the database is made from.
func (r *recipe) template() (testkit.Template, error) {
	key, err := r.key()
	if err != nil || key == "" {
		return testkit.Template{Fresh: r.fresh}, err
	}
	return testkit.Template{Key: key, Build: r.build, Fresh: r.fresh}, nil
}

// closeTimeout bounds the wait for a connection that somebody has not given back.
const closeTimeout = 5 * time.Second

// build fills the template.
func (r *recipe) build(ctx context.Context, connString string) (err error) {
	pool, err := pgdbm.Open(ctx, pgdbm.Config{
		ConnString: connString, MaxConns: 4,
		StatementTimeout: -1, LockTimeout: -1, IdleInTransactionTimeout: -1,
	})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		err = errors.Join(err, pool.Close(ctx))
	}()
	if err := r.prepare(ctx, pool); err != nil {
		return err
	}
	set, err := module.NewSet(pool, r.mounted()...)
	if err != nil {
		return err
	}
	if _, err := set.Migrate(ctx); err != nil {
		return err
	}
	db, err := bind(pool, set, r.schema())
	if err != nil {
		return err
	}
	for _, s := range r.steps {
		if err := s.run(ctx, db); err != nil {
			return fmt.Errorf("pgdbmtest: %s: %w", s.about, err)
		}
	}
	return nil
}

// prepare creates what migrations may rely on.
func (r *recipe) prepare(ctx context.Context, pool *pgdbm.Pool) error {
	db, err := pool.Manager("")
	if err != nil {
		return err
	}
	if err := r.createRole(ctx, db); err != nil {
		return err
	}
	for _, name := range r.extensions {
		if _, err := db.Exec(ctx, "create extension if not exists "+pgx.Identifier{name}.Sanitize()+" cascade"); err != nil {
			return fmt.Errorf("pgdbmtest: WithExtensions: %w", err)
		}
	}
	for _, name := range r.schemas {
		m, err := pool.Manager(name)
		if err == nil {
			err = m.EnsureSchema(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bind returns the manager of a schema: the module's own, where a module of the
// set lives in it.
func bind(pool *pgdbm.Pool, set *module.Set, schema string) (*pgdbm.Manager, error) {
	for _, m := range set.Order() {
		if m.Schema == schema {
			return set.Manager(m)
		}
	}
	return pool.Manager(schema)
}
