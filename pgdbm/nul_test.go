package pgdbm_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// PostgreSQL's texts hold no NUL byte. That is the value's fault, not the server's.
func TestNULByteIsInvalid(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{MaxConns: 1}), "")
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		_, err := m.Exec(t.Context(), "select $1::text", mode, "a\x00b")
		testkit.ErrorIs(t, err, pgdbm.ErrInvalid)
		_, err = m.Exec(t.Context(), "select $1::text", mode, "ab")
		testkit.NoError(t, err)
	}
}
