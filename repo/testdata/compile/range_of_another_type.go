package compile

import (
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/repo"
)

var _ = func() {
	repo.RangeOverlaps(span, pgtype.Range[string]{}) // want: does not match inferred type
}
