// Package web is what the services' HTTP endpoints share: JSON in and out, one
// place that turns errors into status codes, and a page that lists it all.
package web

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Handler answers a request with a status and a value that becomes JSON, or
// with an error; see [Status] for what becomes of that.
type Handler func(*http.Request) (status int, body any, err error)

// API is an HTTP handler to which services add their endpoints. Add all of them
// before it serves; then it is safe for concurrent use.
type API struct {
	mux       *http.ServeMux
	origins   *http.CrossOriginProtection
	log       *slog.Logger
	endpoints []endpoint
}

// endpoint is a line of the gateway page.
type endpoint struct{ Method, Path, About string }

// NewAPI returns an API with the gateway page at / and, at /healthz, whether
// the database answers.
func NewAPI(pool *pgdbm.Pool, log *slog.Logger) *API {
	a := &API{mux: http.NewServeMux(), origins: http.NewCrossOriginProtection(), log: log}
	a.mux.HandleFunc("GET /{$}", a.gateway)
	a.Handle("GET /healthz", "200 while the database answers", func(r *http.Request) (int, any, error) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		return http.StatusOK, map[string]string{"status": "ok"}, pool.Health(ctx)
	})
	return a
}

// Handle adds an endpoint under a pattern of [http.ServeMux] that begins with a
// method. What it is about goes on the gateway page.
func (a *API) Handle(pattern, about string, handle Handler) {
	a.endpoints = append(a.endpoints, newEndpoint(pattern, about))
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		status, body, err := handle(r)
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		reply(w, status, body)
	})
}

// ServeHTTP serves the endpoints. Where there is none the answer is JSON, too.
// What a browser sends on behalf of another site is refused.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := a.origins.Check(r); err != nil {
		reply(w, http.StatusForbidden, failure{err.Error()})
		return
	}
	handler, pattern := a.mux.Handler(r)
	if pattern != "" {
		a.mux.ServeHTTP(w, r)
		return
	}
	unmatched := &headOnly{header: w.Header()}
	handler.ServeHTTP(unmatched, r) // 404, or 405 with the methods that are allowed
	reply(w, unmatched.status, failure{http.StatusText(unmatched.status)})
}

// headOnly takes a response's head and drops its body.
type headOnly struct {
	header http.Header
	status int
}

func (h *headOnly) Header() http.Header         { return h.header }
func (h *headOnly) WriteHeader(status int)      { h.status = status }
func (h *headOnly) Write(p []byte) (int, error) { return len(p), nil }

// reply writes a JSON response. A client that has left is nobody's concern.
func reply(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // a body of ours that is no JSON: a mistake in a handler
		status, text = http.StatusInternalServerError, []byte(`{"error":"internal error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Del("Content-Length")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}
