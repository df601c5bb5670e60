package doctest

import (
	"bufio"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// A Block is the Go code of one fence, and what the comments above it say.
type Block struct {
	Doc     string // path of the document, as given
	Line    int    // of the first line of code, from 1
	Code    string
	File    string // name of the file, may be empty
	Package string // package of the document it belongs to, may be empty
	With    string // a parameter list, may be empty
	WithAt  int    // line of With
}

var (
	fenceRE   = regexp.MustCompile("^(\\s*)(`{3,}|~{3,})\\s*(.*?)\\s*$")
	commentRE = regexp.MustCompile(`^\s*<!--\s*((?:file|package|with):.*?)\s*-->\s*$`)
	keyRE     = regexp.MustCompile(`\b(file|package|with):`)
)

// Blocks returns the ```go blocks of a document, and everything wrong with its fences.
func Blocks(doc, markdown string) ([]Block, error) {
	var (
		blocks  []Block
		errs    []error
		next    = Block{Doc: doc} // collects the comments above a fence
		pending int               // line of the first of them
		line    int
	)
	fail := func(at int, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s:%d: %s", doc, at, fmt.Sprintf(format, args...)))
	}

	lines := bufio.NewScanner(strings.NewReader(markdown))
	lines.Buffer(nil, len(markdown)+1)
	for lines.Scan() {
		line++
		text := lines.Text()

		if m := commentRE.FindStringSubmatch(text); m != nil {
			if err := next.annotate(m[1], line); err != nil {
				fail(line, "%v", err)
			}
			if pending == 0 {
				pending = line
			}
			continue
		}
		fence := fenceRE.FindStringSubmatch(text)
		if fence == nil {
			if strings.TrimSpace(text) != "" && pending != 0 {
				fail(pending, "no ```go block follows this comment")
				next, pending = Block{Doc: doc}, 0
			}
			continue
		}

		indent, mark, language := fence[1], fence[2], fence[3]
		opened := line
		var code strings.Builder
		closed := false
		for !closed && lines.Scan() {
			line++
			if closes(lines.Text(), mark) {
				closed = true
				break
			}
			code.WriteString(dedent(lines.Text(), indent) + "\n")
		}
		switch {
		case !closed:
			fail(opened, "this fence is never closed")
		case language == "":
			fail(opened, "a fence needs a language: go is compiled, text is not")
		case language == "go":
			next.Line, next.Code = opened+1, code.String()
			blocks = append(blocks, next)
		case strings.HasPrefix(strings.ToLower(language), "go"):
			fail(opened, "%q is not compiled: write go, or text where it cannot compile", language)
		case pending != 0:
			fail(pending, "no ```go block follows this comment")
		}
		next, pending = Block{Doc: doc}, 0
	}
	if err := lines.Err(); err != nil {
		fail(line+1, "%v", err)
	}
	if pending != 0 {
		fail(pending, "no ```go block follows this comment")
	}
	return blocks, errors.Join(errs...)
}

// annotate reads "key: value key: value", where "with" takes all that remains.
func (b *Block) annotate(text string, line int) error {
	for text != "" {
		at := keyRE.FindStringSubmatchIndex(text)
		key, value := text[at[2]:at[3]], text[at[1]:]
		text = ""
		if key != "with" {
			if more := keyRE.FindStringIndex(value); more != nil {
				value, text = value[:more[0]], value[more[0]:]
			}
		}
		value = strings.TrimSpace(value)
		switch {
		case value == "":
			return fmt.Errorf("%s: has no value", key)
		case key == "with" && b.With != "":
			b.With += ", " + value
		case key == "with":
			b.With, b.WithAt = value, line
		case key == "file":
			b.File = value
		default:
			b.Package = value
		}
	}
	return nil
}

func closes(line, mark string) bool {
	line = strings.TrimSpace(line)
	return len(line) >= len(mark) && strings.Trim(line, mark[:1]) == ""
}

// dedent removes the indentation of a fence inside a list.
func dedent(line, indent string) string {
	for i := 0; i < len(indent) && line != "" && (line[0] == ' ' || line[0] == '\t'); i++ {
		line = line[1:]
	}
	return line
}
