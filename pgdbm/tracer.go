package pgdbm

import (
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
)

// composeTracers returns one tracer that calls all of them, nil for none.
func composeTracers(tracers []pgx.QueryTracer) pgx.QueryTracer {
	switch len(tracers) {
	case 0:
		return nil
	case 1:
		return tracers[0]
	default:
		return multitracer.New(tracers...)
	}
}
