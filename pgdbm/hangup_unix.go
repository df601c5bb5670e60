//go:build unix

package pgdbm

import (
	"errors"
	"net"
	"syscall"
)

// hungUp reports whether the other end has closed the connection, as far as the
// kernel knows, without waiting and without reading from it.
func hungUp(conn net.Conn) bool {
	if encrypted, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = encrypted.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	var gone bool
	err = raw.Control(func(fd uintptr) { // Read would wait for who reads in the background
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		gone = n == 0 && err == nil || err != nil && !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
	})
	return err == nil && gone
}
