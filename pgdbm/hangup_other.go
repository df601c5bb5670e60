//go:build !unix

package pgdbm

import "net"

// hungUp cannot tell here: a connection that was lost shows when it is used.
func hungUp(net.Conn) bool { return false }
