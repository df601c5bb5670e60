package interop_test

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestNoGoroutineOutlivesThePool(t *testing.T) { //nolint:paralleltest // goroutines of other tests would count
	dsn := testkit.ConnString(t)
	before := goleak.IgnoreCurrent()
	for range 20 {
		pool, err := pgdbm.Open(t.Context(), pgdbm.Config{
			ConnString: dsn, SlowQuery: time.Nanosecond, SlowQueryPlan: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		testkit.NoError(t, err)
		m, err := pool.Manager("")
		testkit.NoError(t, err)
		_, err = m.Exec(t.Context(), "select count(*) from pg_class")
		testkit.NoError(t, err)
		testkit.NoError(t, pool.Close(t.Context())) // a plan is in work
	}
	goleak.VerifyNone(t, before)
}
