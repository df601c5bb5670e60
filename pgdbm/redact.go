package pgdbm

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// redacted stands for a value that was in a message.
const redacted = "…"

// redactServer returns a server's message without values. Messages of class 22
// quote the input ("invalid input syntax for type integer: "x""), whatever it was
// made of; others name an object that an argument names ($1::regclass), and what
// a function raises may hold anything.
func redactServer(pg *pgconn.PgError, args []any) string {
	if msg, ok := encoding(pg.Message); ok {
		return msg
	}
	s := pg.Message
	raised := pg.Routine == "exec_stmt_raise"
	switch class := pg.Code[:min(2, len(pg.Code))]; {
	case class == "22":
		s = rawBytes.ReplaceAllString(dropQuoted(s), redacted)
		return redactArgs(s, args, true)
	case raised:
		return redactArgs(s, args, true)
	case class == "23", class == "40": // these name objects alone, and may be frequent
		return s
	}
	return redactArgs(s, args, false)
}

// redactArgs replaces the values in args where they stand in quotes, and as words
// of their own where they are long numbers, or if anywhere is set.
func redactArgs(s string, args []any, anywhere bool) string {
	w := walker{longest: len(s), visit: func(v string) {
		s = redactIn(s, v, anywhere || isNumber(v) && len(v) > 2)
	}}
	for _, arg := range args {
		w.walk(reflect.ValueOf(arg), 0)
	}
	if w.deep {
		return dropQuoted(s)
	}
	return s
}

// rawBytes are the bytes of text in a wrong encoding.
var rawBytes = regexp.MustCompile(`0x[0-9a-f]{2}(?: 0x[0-9a-f]{2})*`)

// redactIn replaces v where it stands in quotes, or as words of its own if
// anywhere is set.
func redactIn(s, v string, anywhere bool) string {
	if !strings.Contains(s, v) {
		return s
	}
	s = strings.ReplaceAll(s, `"`+v+`"`, `"`+redacted+`"`)
	parts := strings.Split(s, `"`)
	for i := 1; i < len(parts); i += 2 { // what is in quotes
		if strings.Trim(parts[i], "'E ") == v || len(v) >= 6 && strings.Contains(parts[i], v) {
			parts[i] = redacted
		}
	}
	s = strings.Join(parts, `"`)
	if anywhere {
		s = replaceWords(s, v)
	}
	return s
}

// replaceWords replaces v in s where no letter or digit adjoins it.
func replaceWords(s, v string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, v)
		if i < 0 {
			return b.String() + s
		}
		before, _ := utf8.DecodeLastRuneInString(s[:i])
		after, _ := utf8.DecodeRuneInString(s[i+len(v):])
		b.WriteString(s[:i])
		if isWord(before) || isWord(after) {
			b.WriteString(v)
		} else {
			b.WriteString(redacted)
		}
		s = s[i+len(v):]
	}
}

func isWord(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_')
}

func isNumber(s string) bool {
	return strings.Trim(s, "+-.e0123456789") == "" && strings.ContainsAny(s, "0123456789")
}

// quotes are what the server's translations quote with.
const quotes = `"»«„“”`

// dropQuoted drops what stands between the first and the last quote in s: a value
// may hold quotes itself.
func dropQuoted(s string) string {
	first, last := strings.IndexAny(s, quotes), strings.LastIndexAny(s, quotes)
	if first < 0 || first == last {
		return s
	}
	_, size := utf8.DecodeRuneInString(s[first:])
	return s[:first+size] + redacted + s[last:]
}

// walker visits how arguments may look in a message.
type walker struct {
	visit   func(string)
	longest int  // what is longer is not in the message
	deep    bool // not all was visited
}

const maxNested = 6

func (w *walker) add(s string) {
	if s != "" && len(s) <= w.longest {
		w.visit(s)
	}
}

func (w *walker) walk(v reflect.Value, depth int) {
	if !v.IsValid() || w.deep {
		return
	}
	if depth > maxNested {
		w.deep = true
		return
	}
	if w.addSpecial(v) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		w.walk(v.Elem(), depth+1)
	case reflect.String:
		w.add(v.String())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		w.add(strconv.FormatInt(v.Int(), 10))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		w.add(strconv.FormatUint(v.Uint(), 10))
	case reflect.Float32, reflect.Float64:
		w.add(strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits()))
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			w.walk(v.Index(i), depth+1)
		}
	case reflect.Map:
		for key, value := range v.Seq2() {
			w.walk(key, depth+1)
			w.walk(value, depth+1)
		}
	case reflect.Struct:
		for field, value := range v.Fields() {
			if field.IsExported() {
				w.walk(value, depth+1)
			}
		}
	}
}

// addSpecial adds a value that does not look like its parts.
func (w *walker) addSpecial(v reflect.Value) bool {
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
		if v.Len() <= w.longest {
			w.add(string(v.Bytes()))
		}
		return true
	}
	kind := v.Kind()
	if !v.CanInterface() || kind == reflect.Interface || kind == reflect.Pointer && v.IsNil() {
		return false
	}
	switch x := v.Interface().(type) {
	case time.Time:
		w.add(x.Format(time.DateTime))
		return true
	case *time.Time:
		w.add(x.Format(time.DateTime))
		return true
	case fmt.Stringer: // a number, an address, a UUID
		w.add(stringOf(x))
		return kind == reflect.Struct || kind == reflect.Array || kind == reflect.Pointer
	}
	return false
}

// stringOf calls a method that is not ours, for the sake of a message.
func stringOf(s fmt.Stringer) (text string) {
	defer func() {
		if recover() != nil {
			text = ""
		}
	}()
	return s.String()
}

// How pgx begins to say that a batch was not sent.
const (
	buildFailed   = "error preprocessing batch (build): "
	prepareFailed = "error preprocessing batch (prepare): "
)

// redactClient returns a client-side message without values.
func redactClient(err error) string {
	s := connectText(err)
	for _, noise := range []string{buildFailed, prepareFailed, "timeout: ", "context already done: "} {
		s = strings.TrimPrefix(s, noise) // the class says so, where it is one
	}
	if msg, ok := encoding(s); ok {
		return msg
	}
	if scan, ok := errors.AsType[pgx.ScanArgError](err); ok {
		cause := scan.Err.Error()
		return strings.Replace(s, cause, redactScan(cause), 1)
	}
	return s
}

// What pgx and the standard library say of a value that they cannot scan: types
// are told, values are not.
var (
	scanTypes  = regexp.MustCompile(`^cannot scan (?:NULL|empty string|\S+ \(OID \d+\)) `)
	scanValue  = regexp.MustCompile(`^cannot scan .+ (to|into) `)
	scanNumber = regexp.MustCompile(`(^|[\s(:])[-+]?\d[\d.,:/eE+-]*`)
	scanRest   = regexp.MustCompile(`(trailing data: ).*`)
)

func redactScan(s string) string {
	if scanTypes.MatchString(s) {
		return s
	}
	s = scanValue.ReplaceAllString(s, "cannot scan "+redacted+" $1 ")
	s = scanRest.ReplaceAllString(s, "${1}"+redacted)
	s = scanNumber.ReplaceAllString(s, "${1}"+redacted)
	return dropQuoted(s)
}
