//go:build !unix

package pgdbm

import "net"

// socket is of no use here: connections are pinged after a second of idleness,
// and what breaks sooner is noticed by the statement.
type socket struct{}

func newSocket(net.Conn) *socket { return nil }

func (*socket) quiet() bool { return true }

func (*socket) hungUp() bool { return false }
