package migrations

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
)

// invalidUTF8 returns the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(s string) int {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// listOf names the keys of a map for a message.
func listOf[V any](m map[string]V) string {
	if len(m) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}

// isFragment reports whether sql can stand anywhere in a statement without
// changing what is around it.
func isFragment(sql string) bool {
	for t := range sqllex.Tokens(sql) {
		if t.Open || t.Kind == sqllex.LineComment || t.Kind == sqllex.BlockComment || t.Is(";") {
			return false
		}
	}
	pieces, err := sqllex.Split(sql)
	return err == nil && len(pieces) <= 1
}
