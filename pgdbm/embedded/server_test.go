package embedded_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

// shortDir returns an empty directory with a path short enough for sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pgdbm-e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestSharedServer(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	cfg := embedded.Config{Dir: shortDir(t), Idle: 2 * time.Second}
	for range 2 {
		b := time.Now()
		s, err := embedded.Start(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(s, time.Since(b), s.ConnString("postgres"))
		c, err := pgx.Connect(ctx, s.ConnString("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		c.Close(ctx)
		t.Cleanup(func() { s.Close(context.Background()) })
	}
}

func TestPrivateServer(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	cfg := embedded.Config{Dir: shortDir(t), Private: true, TCP: true}
	b := time.Now()
	s, err := embedded.Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(s, time.Since(b), s.ConnString("postgres"))
	c, err := pgx.Connect(ctx, s.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	c.Close(ctx)
	b = time.Now()
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	t.Log("close", time.Since(b))
}
