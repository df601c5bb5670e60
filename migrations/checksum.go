package migrations

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
)

// checksumAlgorithm names what checksum does. It is stored with every checksum,
// so that a later algorithm does not make old rows look edited.
const checksumAlgorithm = "sha256-text1"

// normalize returns a file's text without its byte order mark, with LF line
// ends and no white space at its end: what editors and version control change.
func normalize(raw []byte) string {
	s := strings.TrimPrefix(string(raw), "\ufeff")
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.TrimRight(s, " \t\r\n\f\v")
}

// checksum returns the hex SHA-256 of a normalized text.
func checksum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// statementHash identifies a statement whatever its white space and comments:
// 16 hex digits.
func statementHash(sql string) string {
	h := sha256.New()
	for t := range sqllex.Tokens(sql) {
		if !t.Trivia() {
			h.Write([]byte(t.Text))
			h.Write([]byte{0})
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// recorded is what a head is made of: a migration and the checksum it was
// applied with.
type recorded struct{ key, checksum string }

// headOf returns the head of a set of applied migrations: their number, a
// colon, and 16 hex digits of the SHA-256 over "key checksum\n" in order of the
// keys' bytes. The server computes the same when it writes the table's comment;
// see writeHeads.
func headOf(rows []recorded) string {
	rows = slices.SortedFunc(slices.Values(rows), func(a, b recorded) int { return cmp.Compare(a.key, b.key) })
	h := sha256.New()
	for _, r := range rows {
		h.Write([]byte(r.key + " " + r.checksum + "\n"))
	}
	return fmt.Sprintf("%d:%s", len(rows), hex.EncodeToString(h.Sum(nil)[:8]))
}

// versionKey is the tracking table's key of a versioned migration. Keys sort as
// the versions do.
func versionKey(version int64) string { return fmt.Sprintf("v:%019d", version) }

// repeatableKey is the tracking table's key of a repeatable migration.
func repeatableKey(name string) string { return "r:" + name }
