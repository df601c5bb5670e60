// Package sqltmpl parses the templates of pgdbm's SQL: {{schema}},
// {{tables.users}}, {{tables.billing.invoices}} and, in migrations,
// {{schema.literal}} and {{var.name}}.
//
// It knows where templates stand and what they name. What a name expands to is
// the caller's business: see [Template.Expand] and [Template.ExpandMapped].
package sqltmpl

import (
	"slices"
	"strings"
)

// Kind says what a [Ref] names.
type Kind uint8

// The kinds of references.
const (
	Schema        Kind = iota + 1 // {{schema}}
	SchemaLiteral                 // {{schema.literal}}: the schema's name as a string literal
	Table                         // {{tables.t}} or {{tables.module.t}}
	Var                           // {{var.name}}
)

// Dialect says which templates a text may use.
type Dialect uint8

// The dialects.
const (
	Query     Dialect = iota // schema and tables
	Migration                // also schema.literal and var
)

// Ref is one template in a text.
type Ref struct {
	Kind   Kind
	Module string // of {{tables.Module.Name}}; otherwise empty
	Name   string // the table or the variable
	Text   string // as written, with its braces
	Offset int    // of the opening brace, in bytes
}

// Template is a parsed text. It is immutable and safe for concurrent use.
type Template struct {
	text  string
	parts []part
}

// part is a stretch of literal text followed by a reference; the last part of
// a template has none.
type part struct {
	literal string
	offset  int // of literal in the source text
	ref     Ref // Kind 0: none
}

// Parse reads the templates of text. The error is an [*Error].
//
// "{{{{" stands for a literal "{{". Text without "{{" parses to itself.
func Parse(text string, dialect Dialect) (*Template, error) {
	t := &Template{text: text}
	start := 0 // of the literal being collected
	for pos := 0; ; {
		i := strings.Index(text[pos:], open)
		if i < 0 {
			t.parts = append(t.parts, part{literal: text[start:], offset: start})
			return t, nil
		}
		at := pos + i
		if strings.HasPrefix(text[at:], open+open) { // keep one pair
			t.parts = append(t.parts, part{literal: text[start : at+len(open)], offset: start})
			pos = at + 2*len(open)
			start = pos
			continue
		}
		ref, err := parseRef(text, at, dialect)
		if err != nil {
			return nil, err
		}
		t.parts = append(t.parts, part{literal: text[start:at], offset: start, ref: ref})
		pos = at + len(ref.Text)
		start = pos
	}
}

// Refs returns the references in the order in which they are written.
func (t *Template) Refs() []Ref {
	var refs []Ref
	for _, p := range t.parts {
		if p.ref.Kind != 0 {
			refs = append(refs, p.ref)
		}
	}
	return refs
}

// Expand returns the text of a [Query] with every reference replaced by the
// quoted name that it stands for, in a single allocation. schemaOf returns the
// schema that a reference lies in, "" for none. It is called twice for each
// reference, and must answer alike; Expand stops at its first error.
func (t *Template) Expand(schemaOf func(Ref) (string, error)) (string, error) {
	if len(t.parts) == 1 { // nothing to expand
		return t.text, nil
	}
	size := 0
	for _, p := range t.parts {
		size += len(p.literal)
		if p.ref.Kind == 0 {
			continue
		}
		schema, err := schemaOf(p.ref)
		if err != nil {
			return "", err
		}
		size += len(schema) + len(p.ref.Name) + len(`"".""`)
	}
	var b strings.Builder
	b.Grow(size)
	for _, p := range t.parts {
		b.WriteString(p.literal)
		if p.ref.Kind == 0 {
			continue
		}
		schema, err := schemaOf(p.ref)
		if err != nil {
			return "", err
		}
		writeName(&b, schema, p.ref.Name)
	}
	return b.String(), nil
}

// writeName writes "schema"."name", or one of them.
func writeName(b *strings.Builder, schema, name string) {
	if schema != "" {
		b.WriteByte('"')
		b.WriteString(schema)
		b.WriteByte('"')
	}
	if schema != "" && name != "" {
		b.WriteByte('.')
	}
	if name != "" {
		b.WriteByte('"')
		b.WriteString(name)
		b.WriteByte('"')
	}
}

// ExpandMapped returns the text with every reference replaced by what resolve
// makes of it, and a [Mapping] that leads from offsets in it back to the source.
// It stops at the first error.
func (t *Template) ExpandMapped(resolve func(Ref) (string, error)) (string, Mapping, error) {
	if len(t.parts) == 1 { // nothing to expand
		return t.text, nil, nil
	}
	var (
		b strings.Builder
		m Mapping
	)
	b.Grow(len(t.text) + 16*len(t.parts))
	for _, p := range t.parts {
		m = append(m, span{out: b.Len(), source: p.offset})
		b.WriteString(p.literal)
		if p.ref.Kind == 0 {
			continue
		}
		s, err := resolve(p.ref)
		if err != nil {
			return "", nil, err
		}
		m = append(m, span{out: b.Len(), source: p.ref.Offset, ref: true})
		b.WriteString(s)
	}
	return b.String(), m, nil
}

// Mapping leads from byte offsets in an expanded text back to its source. A
// nil Mapping is the identity.
type Mapping []span

type span struct {
	out, source int
	ref         bool
}

// Source returns the source offset of an offset in the expanded text. Every
// offset inside an expanded reference maps to the reference's first brace.
func (m Mapping) Source(out int) int {
	for _, v := range slices.Backward(m) {
		if s := v; out >= s.out {
			if s.ref {
				return s.source
			}
			return s.source + out - s.out
		}
	}
	return out
}
