package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Server serves a handler on an address, with time limits: a slow client holds
// nothing for long.
type Server struct {
	// Failed is called when serving ends without Stop; nil is not.
	Failed func(error)

	addr string
	log  *slog.Logger
	http http.Server
}

// NewServer returns a server that listens on addr once it is started.
func NewServer(addr string, handler http.Handler, log *slog.Logger) *Server {
	return &Server{addr: addr, log: log, http: http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
}

// Start listens and returns; requests are served until Stop.
func (s *Server) Start(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.addr)
	if err != nil {
		return fmt.Errorf("web: %w; choose another address with -addr", err)
	}
	s.addr = listener.Addr().String()
	go func() {
		err := s.http.Serve(listener)
		if !errors.Is(err, http.ErrServerClosed) && s.Failed != nil {
			s.log.Error("server failed", slog.String("error", err.Error()))
			s.Failed(err)
		}
	}()
	return nil
}

// URL is where the server listens. The port is known once it is started.
func (s *Server) URL() string { return "http://" + s.addr }

// Stop lets requests finish until ctx ends, then cuts them off.
func (s *Server) Stop(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("web: requests did not finish in time: %w", err), s.http.Close())
	}
	return err
}
