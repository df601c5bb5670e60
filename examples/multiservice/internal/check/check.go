// Package check is the few lines of assertions that the tests of this application
// share.
package check

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// NoError ends the test if err is not nil.
func NoError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

// Equal reports an error if got is not want, as [reflect.DeepEqual] sees it.
func Equal[T any](t testing.TB, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
}

// ErrorIs reports an error if err is not target.
func ErrorIs(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("got error  %v\nwant error %v", err, target)
	}
}

// ErrorContains reports an error for every part that the message of err lacks.
func ErrorContains(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("got no error, want one with %q", parts)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got error  %v\nwant in it %q", err, part)
		}
	}
}
