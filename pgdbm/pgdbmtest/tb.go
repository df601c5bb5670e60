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

// background returns a context for work on behalf of a test. It does not come from
// the test's own, which has ended when Cleanup functions run, and which Ginkgo
// does not let them ask for.
func background() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), helperTimeout)
}
