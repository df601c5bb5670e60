package testkit

import (
	"errors"
	"reflect"
	"strings"
	"time"
)

// Eventually waits until ok returns true, for at most 30 seconds; otherwise says
// what is then wrong.
func Eventually(tb TB, otherwise string, ok func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			tb.Errorf("after 30 s: %s", otherwise)
			return
		}
	}
}

// NoError ends the test if err is not nil.
func NoError(tb TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatalf("unexpected error: %v", err)
	}
}

// Equal reports an error if got is not want, as [reflect.DeepEqual] sees it.
func Equal[T any](tb TB, got, want T) {
	tb.Helper()
	if !reflect.DeepEqual(got, want) {
		tb.Errorf("got  %#v\nwant %#v", got, want)
	}
}

// ErrorIs reports an error if err is not target.
func ErrorIs(tb TB, err, target error) {
	tb.Helper()
	if !errors.Is(err, target) {
		tb.Errorf("got error  %v\nwant error %v", err, target)
	}
}

// ErrorContains reports an error for every part that the message of err lacks.
func ErrorContains(tb TB, err error, parts ...string) {
	tb.Helper()
	if err == nil {
		tb.Errorf("got no error, want one with %q", parts)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			tb.Errorf("got error  %v\nwant in it %q", err, part)
		}
	}
}
