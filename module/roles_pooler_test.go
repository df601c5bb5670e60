package module_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Through a pooler that has fewer connections than there are who use them, no
// statement runs as another module, and nothing stays on the servers.
func TestRolesBehindAPooler(t *testing.T) {
	t.Parallel()
	admin := testkit.ConnString(t)
	b := testkit.StartPgBouncer(t, admin, map[string]string{"default_pool_size": "2"})
	s := &shop{pool: open(t, pgdbm.Config{ConnString: b.ConnString(), ModuleRoles: prefix(t, admin), MaxConns: 8})}
	s.bind(t)
	_, err := s.set.Migrate(t.Context())
	testkit.NoError(t, err)
	login, err := s.pool.Manager("sales") // of no module
	testkit.NoError(t, err)
	session := who(t, login)

	members := []*pgdbm.Manager{s.people, s.sales, s.billing, login}
	as := func(m *pgdbm.Manager) string {
		if m.Role() == "" {
			return session
		}
		return m.Role()
	}
	const rounds = 25
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			ctx := t.Context()
			for i := range rounds {
				m, other := members[(worker+i)%4], members[(worker+i+1)%4]
				testkit.Equal(t, who(t, m), as(m))
				batch := &pgx.Batch{}
				batch.Queue("select 1")
				batch.Queue("select current_user::text").QueryRow(func(row pgx.Row) error {
					var role string
					err := row.Scan(&role)
					if role != as(m) {
						t.Errorf("a batch of %s ran as %s", as(m), role)
					}
					return err
				})
				testkit.NoError(t, m.SendBatch(ctx, batch).Close())
				undo := errors.New("undo")
				err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
					testkit.Equal(t, who(t, tx), as(m))
					testkit.Equal(t, who(t, other.In(tx)), as(other))
					_ = tx.InTx(ctx, func(tx *pgdbm.Tx) error {
						testkit.Equal(t, who(t, other.In(tx)), as(other))
						return undo
					})
					testkit.Equal(t, who(t, tx), as(m))
					if i%2 == 0 {
						return undo
					}
					return nil
				})
				if i%2 == 0 != errors.Is(err, undo) {
					t.Errorf("got %v", err)
				}
				exec(t, s.sales, "insert into {{tables.orders}} (buyer, note) values (1, $1)", fmt.Sprintf("%d/%d", worker, i))
				if n, err := s.sales.CopyFrom(ctx, "orders", []string{"buyer"}, pgx.CopyFromRows([][]any{{1}})); err != nil || n != 1 {
					t.Errorf("%d, %v", n, err)
				}
				if err := ways["Exec"](ctx, s.sales, "delete from billing.invoices"); !errors.Is(err, pgdbm.ErrPermission) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	wg.Wait()
	n, err := pgdbm.FetchValue[int](t.Context(), s.sales, "select count(*) from {{tables.orders}}")
	testkit.NoError(t, err)
	testkit.Equal(t, n, 2*8*rounds)

	// Both servers have the role of the login again.
	var txs []pgx.Tx
	for range 2 {
		tx, err := s.pool.Pgx().Begin(t.Context())
		testkit.NoError(t, err)
		txs = append(txs, tx)
		var role string
		testkit.NoError(t, tx.QueryRow(t.Context(), "select current_user::text").Scan(&role))
		testkit.Equal(t, role, session)
	}
	for _, tx := range txs {
		testkit.NoError(t, tx.Rollback(context.WithoutCancel(t.Context())))
	}
}
