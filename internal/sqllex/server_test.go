package sqllex_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

// TestPiecesEqualTheWhole lets the server judge: the statements executed one by
// one give what the whole text gives as one simple query.
func TestPiecesEqualTheWhole(t *testing.T) {
	t.Parallel()
	conn, err := pgconn.Connect(t.Context(), testkit.ConnString(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	run := func(sql string) (string, error) {
		results, err := conn.Exec(t.Context(), sql).ReadAll()
		if err != nil {
			return "", err
		}
		var b strings.Builder
		for _, r := range results {
			if r.CommandTag.String() != "" {
				fmt.Fprintf(&b, "%s %q\n", r.CommandTag, r.Rows)
			}
		}
		return b.String(), nil
	}
	compared := 0
	for _, c := range splits {
		whole, err := run(c.sql)
		if err != nil {
			if c.want != nil {
				t.Logf("%s: not compared, this server rejects it: %v", c.name, err)
			}
			continue
		}
		compared++
		pieces, err := sqllex.Split(c.sql)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		var got strings.Builder
		for _, p := range pieces {
			out, err := run(p.Text)
			if err != nil {
				t.Errorf("%s: %q: %v", c.name, p.Text, err)
			}
			got.WriteString(out)
		}
		if got.String() != whole {
			t.Errorf("%s\npieces give %s\n whole gives %s", c.name, got.String(), whole)
		}
	}
	if compared < len(splits)-4 {
		t.Errorf("only %d of %d texts compared", compared, len(splits))
	}
}
