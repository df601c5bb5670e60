package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

// statuses are the classes of errors that a client can do something about.
var statuses = []struct {
	class  error
	status int
}{
	{errRequest, http.StatusBadRequest},
	{repo.ErrCursor, http.StatusBadRequest},
	{pgdbm.ErrNotFound, http.StatusNotFound},
	{pgdbm.ErrConflict, http.StatusConflict},
	{pgdbm.ErrStale, http.StatusConflict},
	{pgdbm.ErrReference, http.StatusUnprocessableEntity},
	{pgdbm.ErrInvalid, http.StatusUnprocessableEntity},
	{pgdbm.ErrLocked, http.StatusServiceUnavailable},
	{pgdbm.ErrRetryable, http.StatusServiceUnavailable},
	{pgdbm.ErrTimeout, http.StatusServiceUnavailable},
	{pgdbm.ErrUnavailable, http.StatusServiceUnavailable},
}

// errRequest is the class of a request that cannot be read.
var errRequest = errors.New("bad request")

// badRequest is an error of class errRequest.
func badRequest(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errRequest}, args...)...)
}

// Status returns the status code of an error, by its class.
func Status(err error) int {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge
	}
	for _, s := range statuses {
		if errors.Is(err, s.class) {
			return s.status
		}
	}
	return http.StatusInternalServerError
}

// failure is the body of every response that is an error.
type failure struct {
	Error string `json:"error"`
}

// refuse answers with an error. What a service says, it says to the client; what
// the database says is for the log, and the client learns its class.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // the client has left
	}
	status := Status(err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	if status >= http.StatusInternalServerError {
		a.log.ErrorContext(r.Context(), "request failed", slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.Int("status", status), slog.String("error", err.Error()))
	}
	reply(w, status, failure{message(status, err)})
}

// message is what the client is told.
func message(status int, err error) string {
	fault, ok := errors.AsType[*pgdbm.Error](err)
	switch {
	case status == http.StatusInternalServerError:
		return "internal error"
	case ok && fault.Class != nil:
		return fault.Class.Error()
	case errors.Is(err, repo.ErrCursor):
		return repo.ErrCursor.Error()
	default:
		return err.Error()
	}
}
