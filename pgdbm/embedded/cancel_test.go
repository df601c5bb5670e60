package embedded_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

// Whatever a start was doing when its context ended, the error says so.
func TestStartThatIsGivenUpSaysSo(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{0, 20 * time.Millisecond, 200 * time.Millisecond, 600 * time.Millisecond} {
		dir := stateDir(t)
		ctx, cancel := context.WithTimeout(t.Context(), d)
		s, err := embedded.Start(ctx, embedded.Config{Private: true, Dir: dir})
		cancel()
		switch {
		case err == nil && d == 0:
			t.Error("a start whose time is over succeeded")
			fallthrough
		case err == nil: // it was quicker
			end, cancel := timeout()
			noError(t, s.Close(end))
			cancel()
		case !errors.Is(err, context.DeadlineExceeded):
			t.Errorf("after %s: %v", d, err)
		}
	}
}
