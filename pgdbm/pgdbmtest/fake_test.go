package pgdbmtest_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fake is a test that a test looks at. How it ends is up to leave: as package
// testing does it, by a panic as Ginkgo does, or not at all.
type fake struct {
	leave func()

	mu       sync.Mutex
	failed   bool
	skipped  bool
	log      []string
	cleanups []func()
}

// left is what a fake panics with.
type left struct{}

var ways = map[string]func(){
	"goexit": runtime.Goexit,
	"panic":  func() { panic(left{}) },
	"return": func() {},
}

// try runs fn as a test of its own, with its Cleanup functions.
func try(fn func(t *fake)) *fake { return tryLeaving(runtime.Goexit, fn) }

func tryLeaving(leave func(), fn func(t *fake)) *fake {
	f := &fake{leave: leave}
	f.run(func() { fn(f) })
	for n := len(f.cleanups); n > 0; n = len(f.cleanups) {
		cleanup := f.cleanups[n-1]
		f.cleanups = f.cleanups[:n-1]
		f.run(cleanup)
	}
	return f
}

// run calls fn in a goroutine of its own, which fn may leave.
func (f *fake) run(fn func()) {
	var wait sync.WaitGroup
	wait.Go(func() {
		defer func() {
			if r := recover(); r != nil && r != any(left{}) {
				panic(r)
			}
		}()
		fn()
	})
	wait.Wait()
}

func (f *fake) note(format string, args []any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, fmt.Sprintf(format, args...))
}

func (f *fake) output() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(slices.Clone(f.log), "\n")
}

func (f *fake) Helper() {}

// Context is what Ginkgo ends a suite for when a Cleanup function calls it.
func (f *fake) Context() context.Context {
	f.Errorf("it was asked for its context")
	return context.Background()
}

func (f *fake) Cleanup(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cleanups = append(f.cleanups, fn)
}

func (f *fake) Failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

func (f *fake) Logf(format string, args ...any) { f.note(format, args) }

func (f *fake) Errorf(format string, args ...any) {
	f.note(format, args)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed = true
}

func (f *fake) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	f.leave()
}

func (f *fake) Skipf(format string, args ...any) {
	f.note(format, args)
	f.skipped = true
	f.leave()
}

// wantFatal checks that fn ends its test with a message that has all the parts.
func wantFatal(t *testing.T, fn func(t *fake), parts ...string) {
	t.Helper()
	wantSaid(t, try(fn), parts...)
}

// wantSaid checks that a test failed with a message that has all the parts.
func wantSaid(t *testing.T, f *fake, parts ...string) {
	t.Helper()
	if !f.Failed() {
		t.Errorf("the test has not failed, want %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(f.output(), part) {
			t.Errorf("no %q in:\n%s", part, f.output())
		}
	}
}
