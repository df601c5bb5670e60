package repo

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pgdbm/pgdbm-go/internal/spell"
)

// option is one of the words after the name in a db tag.
type option uint8

const (
	optKey option = 1 << iota
	optAuto
	optVersion
	optSoftDelete
	optTouch
	optJSON
	optGenerated
)

var optionNames = []string{"key", "auto", "version", "softdelete", "touch", "json", "generated"} // in the order of the constants

// parseTag divides a db tag into the column's name and its options.
func parseTag(tag string) (name string, opts option, errs []error) {
	words := strings.Split(tag, ",")
	for _, word := range words[1:] {
		i := slices.Index(optionNames, word)
		if i < 0 {
			errs = append(errs, fmt.Errorf("unknown option %q%s", word, suggestOption(word)))
			continue
		}
		if opts&(1<<i) != 0 {
			errs = append(errs, fmt.Errorf("option %s is given twice", word))
		}
		opts |= 1 << i
	}
	for _, pair := range contradictions {
		if opts&pair == pair {
			errs = append(errs, fmt.Errorf("options %s exclude each other", strings.Join(pair.names(), " and ")))
		}
	}
	return words[0], opts, errs
}

var contradictions = []option{
	optKey | optVersion, optKey | optSoftDelete, optKey | optTouch, optKey | optJSON,
	optAuto | optVersion, optAuto | optSoftDelete, optAuto | optTouch,
	optVersion | optSoftDelete, optVersion | optTouch, optVersion | optJSON,
	optSoftDelete | optTouch, optSoftDelete | optJSON, optTouch | optJSON,
	optGenerated | optAuto, optGenerated | optVersion, optGenerated | optSoftDelete, optGenerated | optTouch,
}

func (o option) has(flag option) bool { return o&flag != 0 }

func (o option) names() []string {
	var names []string
	for i, name := range optionNames {
		if o.has(1 << i) {
			names = append(names, name)
		}
	}
	return names
}

func suggestOption(word string) string {
	if best := closest(strings.ToLower(strings.TrimSpace(word)), optionNames); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return "; use " + strings.Join(optionNames, ", ")
}

// closest returns the candidate that differs from word by the fewest edits, ""
// when all differ by more than two, or a third of their length.
func closest(word string, candidates []string) string {
	best, fewest := "", 1<<30
	for _, c := range candidates {
		if d := spell.Distance(word, c); d < fewest && d <= max(min(2, len(c)-1), len(c)/3) {
			best, fewest = c, d
		}
	}
	return best
}
