package pgdbm_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy is a TCP address in front of the server that can refuse connections.
type proxy struct {
	port   uint16
	refuse atomic.Int64 // that many connections to come
	opened atomic.Int64 // connections that were not refused
}

func newProxy(t *testing.T, host string, port uint16) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{port: portOf(listener)}
	network, address := "tcp", net.JoinHostPort(host, fmt.Sprint(port))
	if strings.HasPrefix(host, "/") {
		network, address = "unix", fmt.Sprintf("%s/.s.PGSQL.%d", host, port)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			if p.refuse.Add(-1) >= 0 {
				_ = client.Close()
				continue
			}
			p.opened.Add(1)
			wg.Go(func() { pipe(client, network, address) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		wg.Wait()
	})
	return p
}

// portOf returns the port that a TCP listener has.
func portOf(l net.Listener) uint16 { return netip.MustParseAddrPort(l.Addr().String()).Port() }

// pipe joins client to the server until one of them hangs up.
func pipe(client net.Conn, network, address string) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial(network, address)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	done := make(chan struct{}, 2)
	for _, ends := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			_, _ = io.Copy(ends[0], ends[1])
			_ = ends[0].Close()
			done <- struct{}{}
		}()
	}
	<-done
	<-done
}
