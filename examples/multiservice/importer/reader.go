package importer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxLine is the longest line, in bytes.
const maxLine = 1 << 20

// reader reads a file's lines and knows where it is.
type reader struct {
	name    string
	scanner *bufio.Scanner
	number  int            // of the line read last
	bytes   int64          // read so far
	seen    map[string]int // the line of each record, by kind and id
}

// line is a line of the file.
type line struct {
	number int
	record record
}

func newReader(name string, file io.Reader) *reader {
	s := bufio.NewScanner(file)
	s.Buffer(nil, maxLine)
	return &reader{name: name, scanner: s, seen: map[string]int{}}
}

// read returns the next lines, up to n of them, none at the end of the file; with
// an error, those before it. Empty ones are passed over.
func (r *reader) read(n int) ([]line, error) {
	batch := make([]line, 0, n)
	for len(batch) < n && r.scanner.Scan() {
		text := r.scanner.Bytes()
		r.number++
		r.bytes += int64(len(text)) + 1
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		rec, err := r.parse(text)
		if err != nil {
			return batch, r.at(r.number, err)
		}
		batch = append(batch, line{r.number, rec})
	}
	if err := r.scanner.Err(); errors.Is(err, bufio.ErrTooLong) {
		return batch, r.at(r.number+1, fmt.Errorf("the line is longer than %d bytes", maxLine))
	} else if err != nil {
		return batch, r.at(r.number+1, err)
	}
	return batch, nil
}

// parse returns the record of a line.
func (r *reader) parse(text []byte) (record, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("the line is not UTF-8")
	}
	rec, err := parse(text)
	if err != nil {
		return nil, err
	}
	key := rec.key()
	if first, twice := r.seen[key]; twice {
		return nil, fmt.Errorf("%s is on line %d already", key, first)
	}
	r.seen[key] = r.number
	return rec, nil
}

// at says where an error is.
func (r *reader) at(number int, err error) error {
	return fmt.Errorf("%s:%d: %w", r.name, number, err)
}
