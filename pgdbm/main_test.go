package pgdbm_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

// TestMain looks for goroutines that outlive all tests: of a pool that nobody
// closed, of a wait that nobody ended. The servers that the tests share are let go
// first; one that this process started goes on, and is waited for.
func TestMain(m *testing.M) {
	code := m.Run()
	stopSecureServer()
	testkit.Stop()
	if err := goleak.Find(goleak.IgnoreAnyFunction("github.com/pgdbm/pgdbm-go/pgdbm/embedded.(*instance).startGuarded.func1")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}
