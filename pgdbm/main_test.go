package pgdbm_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

// TestMain looks for goroutines that outlive all tests: of a pool that nobody
// closed, of a wait that nobody ended. There are no exceptions: the servers that
// the tests share are stopped first.
func TestMain(m *testing.M) {
	code := m.Run()
	stopSecureServer()
	testkit.Stop()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}
