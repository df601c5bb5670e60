package testkit

// TB is what the package needs of a test: *testing.T, *testing.B and
// *testing.F are some, and so is Ginkgo's.
type TB interface {
	Helper()
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}
