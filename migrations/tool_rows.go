package migrations

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// readGoose: one row for every version applied, after a row of version 0. Older
// releases add a row with is_applied false when a migration is undone, newer ones
// delete its rows: the last row of a version counts.
func readGoose(rows [][]string) (history, error) {
	var h history
	for _, r := range rows {
		version, err := integer(r[0])
		if err != nil {
			return h, err
		}
		h.drop(version)
		if r[1] == "t" && version != 0 {
			h.rows = append(h.rows, foreign{version: version, label: "version " + r[0], at: r[2]})
		}
	}
	return h, nil
}

// readGolangMigrate: no row, or one with the version of the last file. All before
// it have been applied.
func readGolangMigrate(rows [][]string) (history, error) {
	switch {
	case len(rows) == 0:
		return history{}, nil
	case len(rows) > 1:
		return history{}, fmt.Errorf("%d rows, where golang-migrate keeps one", len(rows))
	case rows[0][1] == "t":
		return history{}, fmt.Errorf("it is dirty at version %s: that file failed half-way; mend the schema, say so with migrate force, and adopt then", rows[0][0])
	default:
		return readLast(rows[0][0])
	}
}

// readTern: one row with the number of the last file, 0 at first.
func readTern(rows [][]string) (history, error) {
	if len(rows) != 1 {
		return history{}, fmt.Errorf("%d rows, where tern keeps one", len(rows))
	}
	return readLast(rows[0][0])
}

// readLast is the history of a tool that keeps the last version alone.
func readLast(text string) (history, error) {
	version, err := integer(text)
	if err != nil || version <= 0 {
		return history{}, err
	}
	return history{rows: []foreign{{version: version, label: "version " + text}}, below: version}, nil
}

// readDbmate: one row for every version, which is the digits that the file's name
// begins with.
func readDbmate(rows [][]string) (history, error) {
	var (
		h    history
		errs []error
	)
	for _, r := range rows {
		version, err := integer(r[0])
		errs = append(errs, err)
		h.drop(version) // "1" and "01"
		h.rows = append(h.rows, foreign{version: version, label: "version " + r[0]})
	}
	slices.SortFunc(h.rows, func(a, b foreign) int { return int(min(max(a.version-b.version, -1), 1)) })
	return h, errors.Join(errs...)
}

// trailingZeros is what Flyway ignores in versions.
var trailingZeros = regexp.MustCompile(`(\.0+)+$`)

// readFlyway: rows of all that was done, in order. BASELINE is everything up to a
// version; UNDO_… and DELETE take a version back; a repeatable has none.
func readFlyway(rows [][]string) (history, error) {
	var (
		h          history
		errs       []error
		repeatable bool
	)
	for _, r := range rows {
		text, kind, script := r[0], r[1], r[2]
		switch {
		case kind == "SCHEMA": // Flyway has created the schema
			continue
		case r[3] != "t":
			errs = append(errs, fmt.Errorf("%s failed; mend the schema, say so with flyway repair, and adopt then", script))
			continue
		case text == "":
			repeatable = true
			continue
		}
		version, err := integer(trailingZeros.ReplaceAllString(text, ""))
		if err != nil {
			errs = append(errs, fmt.Errorf("%w (%s)", err, script))
			continue
		}
		h.drop(version)
		switch {
		case strings.HasPrefix(kind, "UNDO_"), kind == "DELETE":
		case kind == "BASELINE", strings.HasSuffix(kind, "_BASELINE"):
			h.below = max(h.below, version)
		default:
			h.rows = append(h.rows, foreign{version: version, label: "version " + text + " (" + script + ")", at: r[4], millis: r[5], by: r[6]})
		}
	}
	if repeatable {
		h.warnings = append(h.warnings, "repeatable migrations are not adopted: the next Up runs each of them once")
	}
	return h, errors.Join(errs...)
}

// readPgdbm: one row for every file, of several modules. Rows without a module
// are everybody's.
func readPgdbm(rows [][]string, module string, t *target) (history, error) {
	var (
		h     history
		errs  []error
		names = map[string]bool{}
	)
	for _, r := range rows {
		if r[2] != "" {
			names[r[2]] = true
		}
	}
	switch {
	case module != "" && !names[module] && len(names) > 0:
		return h, fmt.Errorf("it has no rows of module %s (have %s)", module, listOf(names))
	case module != "":
	case names[t.Module]:
		module = t.Module
	case names[t.Schema]:
		module = t.Schema
	case len(names) > 0:
		return h, fmt.Errorf("it has no rows of a module %s; name the right one of its modules in Adoption.Module (have %s)", t.Module, listOf(names))
	}
	for _, r := range rows {
		if r[2] != module && r[2] != "" {
			continue
		}
		f, err := parseFilename(r[0])
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("it has applied %s: %w", r[0], err))
		case f.down:
			errs = append(errs, fmt.Errorf("it has applied %s, which undoes a migration here; rename the file, and use Baseline", r[0]))
		case f.version == 0:
			h.warnings = append(h.warnings, fmt.Sprintf("%s: %s is repeatable here: it is not adopted, and the next Up runs it", t, r[0]))
		default:
			if other := h.drop(f.version); other != "" {
				errs = append(errs, fmt.Errorf("it has applied %s and %s, which are of one version here; renumber one of them, and use Baseline", other, r[0]))
			}
			h.rows = append(h.rows, foreign{version: f.version, name: f.name, label: r[0], sum: r[1], at: r[3], millis: r[4], by: r[5]})
		}
	}
	return h, errors.Join(errs...)
}

// drop forgets the row of a version, and returns its label.
func (h *history) drop(version int64) (label string) {
	h.rows = slices.DeleteFunc(h.rows, func(r foreign) bool {
		if r.version == version {
			label = r.label
		}
		return r.version == version
	})
	return label
}

func integer(text string) (int64, error) {
	version, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("version %s is no integer of 64 bits, as versions are here; number the files anew, in the same order, and use Baseline", text)
	}
	return version, nil
}
