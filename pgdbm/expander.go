package pgdbm

import (
	"fmt"
	"strings"

	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
)

// expander expands templates and remembers the result: a text is parsed once,
// and expanded once for each schema that it is used in.
type expander struct {
	parsed   *cache[*sqltmpl.Template]
	expanded *cache[string]
}

// Bounds of the caches in texts and in bytes, and the longest text that is
// remembered. Application code has hundreds of texts, of hundreds of bytes; what
// exceeds these is generated, or belongs to thousands of schemas: expanding it
// anew takes less than a hundredth of its round trip.
const (
	maxParsed   = 2 << 10
	maxExpanded = 8 << 10
	maxBytes    = 8 << 20 // of each cache
	maxText     = 4 << 10
)

func newExpander() *expander {
	return &expander{
		parsed:   newCache[*sqltmpl.Template](maxParsed, maxBytes),
		expanded: newCache[string](maxExpanded, maxBytes),
	}
}

func (x *expander) expand(b *Binding, sql string) (string, error) {
	if !strings.Contains(sql, "{{") {
		return sql, nil
	}
	if len(sql) > maxText {
		tpl, err := parse(sql)
		if err != nil {
			return "", err
		}
		return tpl.Expand(b.schemaOf)
	}
	if text, ok := x.expanded.get(sql, b.scope); ok {
		return text, nil
	}
	tpl, ok := x.parsed.get(sql, "")
	if !ok {
		var err error
		if tpl, err = parse(sql); err != nil {
			return "", err
		}
		x.parsed.put(sql, "", tpl, 3*len(sql)) // the text and, about, its parts
	}
	text, err := tpl.Expand(b.schemaOf)
	if err != nil {
		return "", err
	}
	x.expanded.put(sql, b.scope, text, len(sql)+len(text))
	return text, nil
}

func parse(sql string) (*sqltmpl.Template, error) {
	tpl, err := sqltmpl.Parse(sql, sqltmpl.Query)
	if err != nil {
		return nil, fmt.Errorf("pgdbm: %w", err)
	}
	return tpl, nil
}
