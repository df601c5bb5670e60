// Package money carries decimal numbers between JSON and PostgreSQL as text.
//
// Money is exact, so it is never a floating-point number; and all arithmetic is
// done by PostgreSQL, whose numeric type neither rounds nor overflows. Text is
// then all that Go needs: it compares, prints and travels without a decimal
// library in anybody's go.mod.
package money

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"
)

// Amount is an amount of money, 0.00 or more, with two fraction digits: equal
// amounts are equal text. One that PostgreSQL computed may have more of them, as
// many as the result needs. It scans from numeric, and is sent as such.
type Amount string

// ParseAmount reads an amount such as 12, 12.5 or 12.50.
func ParseAmount(s string) (Amount, error) {
	d, err := parse(s)
	return Amount(d), err
}

// UnmarshalJSON reads an amount from a JSON string.
func (a *Amount) UnmarshalJSON(text []byte) (err error) {
	*a, err = unquote(text, ParseAmount)
	return err
}

// ScanText reads an amount from the database; see [pgtype.TextScanner].
func (a *Amount) ScanText(t pgtype.Text) (err error) {
	*a, err = scan[Amount](t)
	return err
}

// Rate is a part of a whole, 0.00 to 1.00, such as a discount; otherwise it is
// what an [Amount] is.
type Rate string

// ParseRate reads a rate such as 0.15.
func ParseRate(s string) (Rate, error) {
	d, err := parse(s)
	if err == nil && d != "1.00" && !strings.HasPrefix(d, "0.") {
		return "", fmt.Errorf("%s is not between 0 and 1", s)
	}
	return Rate(d), err
}

// UnmarshalJSON reads a rate from a JSON string.
func (r *Rate) UnmarshalJSON(text []byte) (err error) {
	*r, err = unquote(text, ParseRate)
	return err
}

// ScanText reads a rate from the database; see [pgtype.TextScanner].
func (r *Rate) ScanText(t pgtype.Text) (err error) {
	*r, err = scan[Rate](t)
	return err
}

// maxDigits is how many digits fit before the point, here and in the columns.
const maxDigits = 10

// parse returns s with exactly two fraction digits.
func parse(s string) (string, error) {
	whole, fraction, point := strings.Cut(s, ".")
	switch {
	case strings.HasPrefix(s, "-") && digits(whole[1:]):
		return "", fmt.Errorf("%s is negative", s)
	case !digits(whole) || point && !digits(fraction) || len(whole) > 1 && whole[0] == '0':
		return "", fmt.Errorf("%q is not a decimal number such as 12.50", s)
	case len(fraction) > 2:
		return "", fmt.Errorf("%s has more than 2 digits after the point", s)
	case len(whole) > maxDigits:
		return "", fmt.Errorf("%s has more than %d digits before the point", s, maxDigits)
	}
	return pad(s), nil
}

// pad returns a number with at least two fraction digits.
func pad(s string) string {
	whole, fraction, _ := strings.Cut(s, ".")
	return whole + "." + fraction + "00"[:max(0, 2-len(fraction))]
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// unquote parses the text in a JSON string. Numbers are refused: most programs
// read and write them as floating point.
func unquote[D Amount | Rate](text []byte, parse func(string) (D, error)) (D, error) {
	var s string
	if len(text) == 0 || text[0] != '"' {
		return "", errors.New(`not a decimal number in quotes, such as "12.50"`)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return "", err
	}
	return parse(s)
}

// scan takes a number from pgx, in whose text 0.00 is 0.
func scan[D Amount | Rate](t pgtype.Text) (D, error) {
	if !t.Valid {
		return "", errors.New("money: NULL is no amount")
	}
	return D(pad(t.String)), nil
}
