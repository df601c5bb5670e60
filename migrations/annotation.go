package migrations

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
)

// parts is a file divided by another tool's annotations: goose, dbmate and tern
// keep both directions in one file.
type parts struct {
	down   int     // offset of the part that undoes the rest; -1: none
	noTx   [2]bool // up and down run outside of a transaction
	marked bool    // there are annotations
}

// end returns where the part that is to be applied ends.
func (p parts) end(text string) int {
	if p.down >= 0 {
		return p.down
	}
	return len(text)
}

// annotation is what a comment says to another tool.
type annotation struct {
	tool Tool
	what string // up, down, tx off, body (goose's StatementBegin and StatementEnd), or what is not supported
}

var (
	dbmateAnnotation = regexp.MustCompile(`^--\s*migrate:(up|down)(?:\s+(.*?))?\s*$`)
	dbmateNoTx       = regexp.MustCompile(`(^|\s)transaction:false(\s|$)`)
)

// annotationOf understands a line, whatever it is a part of: so do the tools. One
// that is indented counts, too. The tools refuse or overlook it; taken for a comment,
// it would let the part that undoes run.
func annotationOf(line string) (a annotation, ok bool) {
	text := strings.TrimSpace(line)
	switch {
	case strings.HasPrefix(text, "---- create above / drop below ----"):
		return annotation{ToolTern, "down"}, true
	case text == "---- tern: disable-tx ----":
		return annotation{ToolTern, "tx off"}, true
	case strings.HasPrefix(text, "--") && strings.HasPrefix(strings.Trim(text, "- \t"), "+goose"):
		what := strings.ToLower(strings.TrimSpace(strings.TrimPrefix(strings.TrimLeft(text, "- \t"), "+goose")))
		switch what {
		case "statementbegin", "statementend":
			what = "body"
		case "no transaction":
			what = "tx off"
		}
		return annotation{ToolGoose, what}, true
	}
	if m := dbmateAnnotation.FindStringSubmatch(text); m != nil {
		if dbmateNoTx.MatchString(m[2]) {
			return annotation{ToolDbmate, m[1] + ", tx off"}, true
		}
		return annotation{ToolDbmate, m[1]}, true
	}
	return annotation{}, false
}

// divide finds the annotations of a text; problem is called with the byte offset
// of each one that cannot be followed. Where nothing is marked, the text is one
// part.
func divide(text string, problem func(offset int, message, hint string)) parts {
	p := parts{down: -1}
	var first annotation
	seen := map[int]bool{} // offsets of the annotations that are comments
	begun := false         // a statement has begun
	up := -1
	for t := range sqllex.Tokens(text) {
		if t.Kind != sqllex.LineComment || !beginsLine(text, t.Offset) {
			begun = begun || !t.Trivia()
			continue
		}
		a, ok := annotationOf(t.Text)
		if !ok {
			continue
		}
		seen[t.Offset] = true
		if !p.marked {
			p.marked, first = true, a
		}
		section, tx, _ := strings.Cut(a.what, ", ")
		here := 0
		if section == "down" || p.down >= 0 {
			here = 1
		}
		p.noTx[here] = p.noTx[here] || tx == "tx off" || section == "tx off"
		switch {
		case a.tool != first.tool:
			problem(t.Offset, fmt.Sprintf("the file has annotations of %s and of %s", first.tool, a.tool), "keep those of one tool")
		case section == "up" && (up >= 0 || p.down >= 0):
			problem(t.Offset, "a second part that is to be applied", "give each its own file")
		case section == "up" && begun:
			problem(t.Offset, "there are statements before the part that is to be applied", "move them behind this line")
		case section == "down" && p.down >= 0:
			problem(t.Offset, "a second part that undoes", "keep one")
		case section == "down" && up < 0 && a.tool != ToolTern:
			problem(t.Offset, "the part that undoes comes before the one that is to be applied", "")
		case section == "up":
			up = t.Offset
		case section == "down":
			p.down = t.Offset
		case section == "tx off", section == "body":
		default:
			problem(t.Offset, fmt.Sprintf("the annotation +goose %s is not supported", a.what), "templates stand for what differs: {{schema}}, {{tables.t}}, {{var.name}}")
		}
		if a.tool == ToolGoose && section == "tx off" { // for the whole file
			p.noTx = [2]bool{true, true}
		}
	}
	if p.marked {
		hidden(text, seen, problem)
	}
	return p
}

// hidden reports the annotations that are parts of strings or bodies: the tools
// would cut the file there, the server would not.
func hidden(text string, seen map[int]bool, problem func(offset int, message, hint string)) {
	offset := 0
	for line := range strings.Lines(text) {
		begin := offset + len(line) - len(strings.TrimLeft(line, " \t"))
		if _, ok := annotationOf(line); ok && !seen[begin] {
			problem(begin, "an annotation inside of a string or comment", "take it out")
		}
		offset += len(line)
	}
}

// beginsLine reports whether nothing but white space comes before offset in its line.
func beginsLine(text string, offset int) bool {
	before := strings.TrimRight(text[:offset], " \t")
	return before == "" || strings.HasSuffix(before, "\n") || strings.HasSuffix(before, "\r")
}
