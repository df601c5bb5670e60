package pgdbm_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// However a value travels, one that cannot be encoded stays out of the message.
func TestValuesStayOutOfEncodingErrors(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	odd := struct{ S string }{secret}
	batch := &pgx.Batch{}
	batch.Queue("select $1::int", odd)
	_, copied := m.CopyFrom(ctx, "items", []string{"n"}, pgx.CopyFromRows([][]any{{odd}}))
	_, copiedText := m.CopyFrom(ctx, "items", []string{"n"}, pgx.CopyFromRows([][]any{{secret}}))
	for how, err := range map[string]error{
		"cache statement": second(m.Exec(ctx, "select $1::int", pgx.QueryExecModeCacheStatement, odd)),
		"cache describe":  second(m.Exec(ctx, "select $1::int", pgx.QueryExecModeCacheDescribe, odd)),
		"exec":            second(m.Exec(ctx, "select $1::int", pgx.QueryExecModeExec, odd)),
		"simple":          second(m.Exec(ctx, "select $1::int", pgx.QueryExecModeSimpleProtocol, odd)),
		"batch":           m.SendBatch(ctx, batch).Close(),
		"copy":            copied,
		"copy of text":    copiedText,
	} {
		if !errors.Is(err, pgdbm.ErrInvalid) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", how, err)
		}
	}
	whole(t, m)
}
