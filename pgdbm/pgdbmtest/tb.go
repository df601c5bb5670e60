package pgdbmtest

import (
	"context"
	"time"
)

// TB is what the fixtures need of a test: *testing.T, *testing.B and *testing.F
// have it, and so has Ginkgo's GinkgoT().
type TB interface {
	Helper()
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// helperTimeout bounds what a helper does for a test.
const helperTimeout = time.Minute

// background returns a context for work on behalf of a test. It does not end
// with the test's own: helpers work in Cleanup functions too.
func background(t TB) (context.Context, context.CancelFunc) {
	ctx := context.Background()
	if c, ok := t.(interface{ Context() context.Context }); ok {
		ctx = context.WithoutCancel(c.Context())
	}
	return context.WithTimeout(ctx, helperTimeout)
}
