//go:build !linux

package pgdbm

import "syscall"

// limitUnacked leaves it at the system's own limit.
func limitUnacked(string, string, syscall.RawConn) error { return nil }
