package pgdbm

import "net"

// For tests of what a test cannot make a server say, or cannot see.
var (
	Committed = committed
	Pause     = fullJitter
	Returning = returning
)

// HungUp reports whether the other end of a connection is known to have closed it.
func HungUp(conn net.Conn) bool { return newSocket(conn).hungUp() }

// ClassifyWith is Classify for a statement with arguments.
func ClassifyWith(err error, args ...any) error { return classify(err, "", "select", args...) }
