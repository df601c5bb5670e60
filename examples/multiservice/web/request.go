package web

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

const (
	maxBody      = 1 << 20 // bytes of a request's body
	defaultLimit = 20
	maxLimit     = 100
)

// Decode reads a request's body: one JSON value without unknown fields.
func Decode[T any](r *http.Request) (T, error) {
	var v T
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(&v)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return v, nil
		}
		err = errors.New("one JSON value, please")
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return v, tooLarge
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the body is empty")
	}
	return v, badRequest("%s", strings.TrimPrefix(err.Error(), "json: "))
}

// ID reads the {id} of the request's path.
func ID[K int64 | string](r *http.Request) (id K, err error) {
	text := r.PathValue("id")
	switch id := any(&id).(type) {
	case *string:
		*id = text
	case *int64:
		if *id, err = strconv.ParseInt(text, 10, 64); err != nil {
			err = badRequest("%q is not a number", text)
		}
	}
	return id, err
}

// Limit reads how many rows a request asks for, in ?limit=.
func Limit(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, badRequest("limit %q: a number from 1 to %d", text, maxLimit)
	}
	return n, nil
}
