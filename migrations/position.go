package migrations

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Position is a place in a file.
type Position struct {
	File   string // name in the file system given to Load
	Line   int    // from 1; 0 when the whole file is meant
	Column int    // from 1, in characters
}

// String returns file:line:column, or the file alone.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// position returns the place of a byte offset in text.
func position(file, text string, offset int) Position {
	offset = min(max(offset, 0), len(text))
	start := strings.LastIndexByte(text[:offset], '\n') + 1
	return Position{
		File:   file,
		Line:   1 + strings.Count(text[:start], "\n"),
		Column: 1 + utf8.RuneCountInString(text[start:offset]),
	}
}

const maxExcerpt = 160 // characters of a line that an error shows

// excerpt shows the line of a byte offset with a caret under it.
func excerpt(text string, offset int) string {
	offset = min(max(offset, 0), len(text))
	start := strings.LastIndexByte(text[:offset], '\n') + 1
	line, _, _ := strings.Cut(text[start:], "\n")
	before := []rune(text[start:offset])
	runes := []rune(line)
	if cut := len(before) - maxExcerpt/2; cut > 0 && len(runes) > maxExcerpt {
		before, runes = before[cut:], runes[cut:]
	}
	if len(runes) > maxExcerpt {
		runes = append(runes[:maxExcerpt:maxExcerpt], '…')
	}
	for i, r := range before { // keep tabs, so that the caret stands below its character
		if r != '\t' {
			before[i] = ' '
		}
	}
	return "    " + string(runes) + "\n    " + string(before) + "^"
}

// byteOffset converts PostgreSQL's error position, which counts characters
// from 1, to a byte offset in the text that was sent.
func byteOffset(sql string, position int) int {
	offset := 0
	for ; position > 1 && offset < len(sql); position-- {
		_, n := utf8.DecodeRuneInString(sql[offset:])
		offset += n
	}
	return offset
}
