package pgdbm

import (
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// The names that the server puts into its English messages alone.
var (
	missingRelation = regexp.MustCompile(`^relation "([^"]+)" does not exist$`)
	missingColumn   = regexp.MustCompile(`^column (?:"([^"]+)"|(?:\S+\.)?(\S+))(?: of relation "([^"]+)")? does not exist$`)
	missingSchema   = regexp.MustCompile(`^schema "([^"]+)" does not exist$`)
	deniedRelation  = regexp.MustCompile(`^(?:permission denied for|must be owner of) (?:table|relation|view|materialized view|foreign table) (.+)$`)
	deniedSchema    = regexp.MustCompile(`^(?:permission denied for|must be owner of) schema (.+)$`)

	inRelation   = regexp.MustCompile(`(?:relation|table) "([^"]+)"`)
	inColumn     = regexp.MustCompile(`column "([^"]+)"`)
	inConstraint = regexp.MustCompile(`constraint "([^"]+)"`)
	shardName    = regexp.MustCompile(`"([^"]+?)_\d{6,}"`)
)

// readNames completes the names in e from its text, where the server left the
// fields for them empty. A value that was redacted is no name.
func (e *Error) readNames(pg *pgconn.PgError) {
	switch {
	case pg.Code == "42P01":
		if m := missingRelation.FindStringSubmatch(e.text); m != nil {
			e.relation(m[1])
		}
	case pg.Code == "42703":
		if m := missingColumn.FindStringSubmatch(e.text); m != nil {
			e.Column = name(m[1] + m[2])
			e.relation(m[3])
		}
	case pg.Code == "3F000":
		if m := missingSchema.FindStringSubmatch(e.text); m != nil && name(m[1]) != "" {
			e.Schema = m[1]
		}
	case pg.Code == "42501":
		if m := deniedRelation.FindStringSubmatch(e.text); m != nil {
			e.relation(m[1])
		} else if m := deniedSchema.FindStringSubmatch(e.text); m != nil {
			e.Schema = m[1]
		}
	case strings.HasPrefix(pg.Code, "23") && pg.TableName == "" && pg.ConstraintName == "" && pg.ColumnName == "":
		// PostgreSQL fills the fields of every broken constraint. Citus, which
		// repeats the error of a shard, fills none, and the names are the shard's.
		e.text = shardName.ReplaceAllString(e.text, `"$1"`)
		first := func(re *regexp.Regexp) string {
			if m := re.FindStringSubmatch(e.text); m != nil {
				return name(m[1])
			}
			return ""
		}
		e.Constraint, e.Column = first(inConstraint), first(inColumn)
		e.relation(first(inRelation))
	}
}

// relation notes the name of a relation as the server writes it: with its schema
// or without, not quoted.
func (e *Error) relation(s string) {
	if s = name(s); s == "" {
		return
	}
	if schema, table, ok := strings.Cut(s, "."); ok {
		e.Schema, e.Table = schema, table
		return
	}
	e.Table = s
}

// name returns s unless it was redacted.
func name(s string) string {
	if strings.Contains(s, redacted) {
		return ""
	}
	return s
}
