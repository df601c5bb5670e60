package web_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/internal/check"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/web"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// setup returns an API on a server that does not exist, and its log.
func setup(t *testing.T) (*web.API, *strings.Builder) {
	t.Helper()
	pool, err := pgdbm.New(pgdbm.Config{Host: t.TempDir()})
	check.NoError(t, err)
	t.Cleanup(func() { _ = pool.Close(context.WithoutCancel(t.Context())) })
	var log strings.Builder
	return web.NewAPI(pool, slog.New(slog.NewTextHandler(&log, nil))), &log
}

func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return answer
}

func TestErrorsShowTheirClassOnly(t *testing.T) {
	t.Parallel()
	fault := func(class error) error {
		return fmt.Errorf("repo: t: %w", &pgdbm.Error{Class: class, Err: errors.New("a secret")})
	}
	for _, test := range []struct {
		err    error
		status int
		body   string
	}{
		{fmt.Errorf("%w: product 7", pgdbm.ErrNotFound), 404, "not found: product 7"},
		{fault(pgdbm.ErrNotFound), 404, "not found"},
		{fault(pgdbm.ErrConflict), 409, "conflict"},
		{fault(pgdbm.ErrStale), 409, "stale version"},
		{fault(pgdbm.ErrReference), 422, "broken reference"},
		{fault(pgdbm.ErrInvalid), 422, "invalid value"},
		{fault(pgdbm.ErrLocked), 503, "locked"},
		{fault(pgdbm.ErrRetryable), 503, "transaction must retry"},
		{fault(pgdbm.ErrTimeout), 503, "timeout"},
		{fault(pgdbm.ErrUnavailable), 503, "server unavailable"},
		{fault(pgdbm.ErrUndefined), 500, "internal error"},
		{fault(nil), 500, "internal error"},
		{errors.New("a secret"), 500, "internal error"},
	} {
		api, log := setup(t)
		api.Handle("GET /fail", "fails", func(*http.Request) (int, any, error) { return 0, nil, test.err })
		answer := get(t, api, "/fail")
		check.Equal(t, answer.Code, test.status)
		check.Equal(t, answer.Body.String(), fmt.Sprintf("{\"error\":%q}\n", test.body))
		check.Equal(t, answer.Header().Get("Retry-After") != "", test.status == 503)
		check.Equal(t, strings.Contains(log.String(), "request failed"), test.status >= 500)
	}
}

func TestHealthSaysWhenTheDatabaseIsGone(t *testing.T) {
	t.Parallel()
	api, _ := setup(t)
	answer := get(t, api, "/healthz")
	check.Equal(t, answer.Code, 503)
	check.Equal(t, answer.Body.String(), `{"error":"server unavailable"}`+"\n")
}

func TestOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	api, _ := setup(t)
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/orders", nil)
	request.Header.Set("Sec-Fetch-Site", "cross-site")
	answer := httptest.NewRecorder()
	api.ServeHTTP(answer, request)
	check.Equal(t, answer.Code, 403)
}

func TestStopLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	arrived, leave := make(chan struct{}), make(chan struct{})
	server := web.NewServer("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-leave
		_, _ = io.WriteString(w, "done")
	}), slog.New(slog.DiscardHandler))
	check.NoError(t, server.Start(t.Context()))

	answers := make(chan string)
	go func() {
		response, err := http.Get(server.URL())
		if err != nil {
			answers <- err.Error()
			return
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		answers <- string(body)
	}()
	<-arrived
	stopped := make(chan error)
	go func() { stopped <- server.Stop(context.WithoutCancel(t.Context())) }()
	close(leave)
	check.Equal(t, <-answers, "done")
	check.NoError(t, <-stopped)
	if _, err := http.Get(server.URL()); err == nil {
		t.Error("it still listens")
	}
}

func TestAnAddressInUseIsNamed(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	first := web.NewServer("127.0.0.1:0", http.NotFoundHandler(), log)
	check.NoError(t, first.Start(t.Context()))
	defer func() { check.NoError(t, first.Stop(context.WithoutCancel(t.Context()))) }()
	second := web.NewServer(strings.TrimPrefix(first.URL(), "http://"), http.NotFoundHandler(), log)
	check.ErrorContains(t, second.Start(t.Context()), "address already in use", "-addr")
}
