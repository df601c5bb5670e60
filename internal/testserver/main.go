// Command testserver joins or starts the private server that tests would use in
// this environment (see PGDBM_PG_VERSION), and prints its version and where its
// binaries are, with a tab between. Where there are none, and none could be
// downloaded, it says why and ends with exit code 3.
//
// .ci/run asks it before it runs tests on several versions.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

const exitNoBinaries = 3

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx)
	if err == nil {
		return
	}
	_, _ = fmt.Fprintln(os.Stderr, err) // there is nowhere else to say it
	if errors.Is(err, embedded.ErrNoBinaries) {
		os.Exit(exitNoBinaries) //nolint:gocritic // stop only frees the signals
	}
	os.Exit(1)
}

func run(ctx context.Context) error {
	cfg := embedded.Config{Dir: os.Getenv("PGDBM_TEST_DIR")}
	if idle := os.Getenv("PGDBM_TEST_IDLE"); idle != "" {
		var err error
		if cfg.Idle, err = time.ParseDuration(idle); err != nil {
			return fmt.Errorf("testserver: PGDBM_TEST_IDLE: %w", err)
		}
	}
	s, err := embedded.Start(ctx, cfg)
	if err != nil {
		return err
	}
	_, from, _ := strings.Cut(s.String(), " from ")
	from = strings.TrimSuffix(from, ", "+string(s.Origin()))
	if _, err := fmt.Fprintf(os.Stdout, "%s\t%s\n", s.Version(), from); err != nil {
		return err
	}
	return s.Close(ctx)
}
