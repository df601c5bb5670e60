package money_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/internal/check"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/money"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

func TestAmountsAreEqualText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]money.Amount{
		"0": "0.00", "7": "7.00", "9.8": "9.80", "9.80": "9.80", "1234567890.99": "1234567890.99",
	} {
		got, err := money.ParseAmount(in)
		check.NoError(t, err)
		check.Equal(t, got, want)
	}
}

func TestWhatIsNoAmount(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":            `"" is not a decimal number`,
		".5":          "not a decimal number",
		"5.":          "not a decimal number",
		"1e3":         "not a decimal number",
		"+1":          "not a decimal number",
		"--1":         "not a decimal number",
		"01":          "not a decimal number",
		" 1":          "not a decimal number",
		"1,50":        "not a decimal number",
		"NaN":         "not a decimal number",
		"٣":           "not a decimal number",
		"-1.00":       "-1.00 is negative",
		"1.999":       "more than 2 digits after the point",
		"12345678901": "more than 10 digits before the point",
	} {
		_, err := money.ParseAmount(in)
		check.ErrorContains(t, err, want)
	}
}

func TestRatesEndAtOne(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]money.Rate{"0": "0.00", "0.15": "0.15", "1": "1.00", "1.0": "1.00"} {
		got, err := money.ParseRate(in)
		check.NoError(t, err)
		check.Equal(t, got, want)
	}
	for _, in := range []string{"1.01", "2", "10.00"} {
		_, err := money.ParseRate(in)
		check.ErrorContains(t, err, in+" is not between 0 and 1")
	}
	_, err := money.ParseRate("-0.1")
	check.ErrorContains(t, err, "negative")
}

func TestJSONIsText(t *testing.T) {
	t.Parallel()
	type price struct {
		Price    money.Amount `json:"price"`
		Discount money.Rate   `json:"discount"`
	}
	var p price
	check.NoError(t, json.Unmarshal([]byte(`{"price": "9.8", "discount": "0.05"}`), &p))
	check.Equal(t, p, price{"9.80", "0.05"})
	text, err := json.Marshal(p)
	check.NoError(t, err)
	check.Equal(t, string(text), `{"price":"9.80","discount":"0.05"}`)

	for _, bad := range []string{`{"price": 9.8}`, `{"price": null}`, `{"price": ["1"]}`, `{"discount": 0.05}`} {
		err := json.Unmarshal([]byte(bad), &p)
		check.ErrorContains(t, err, "in quotes")
	}
	if err := json.Unmarshal([]byte(`{"price": "`+strings.Repeat("9", 11)+`"}`), &p); err == nil {
		t.Error("an amount that no column holds was accepted")
	}
}

func TestNumericIsText(t *testing.T) {
	t.Parallel()
	db := pgdbmtest.New(t)
	for sql, want := range map[string]money.Amount{
		"0::numeric(12, 2)":             "0.00",
		"9.8::numeric(12, 2)":           "9.80",
		"7":                             "7.00",
		"0.1 * 3 * (1 - 0.05)":          "0.285",
		"12345678901234567890.12345678": "12345678901234567890.12345678",
	} {
		var got money.Amount
		check.NoError(t, db.QueryRow(t.Context(), "select ("+sql+")::numeric").Scan(&got))
		check.Equal(t, got, want)
		var back bool
		check.NoError(t, db.QueryRow(t.Context(), "select ("+sql+")::numeric = $1", got).Scan(&back))
		check.Equal(t, back, true)
	}
	var none money.Amount
	check.ErrorContains(t, db.QueryRow(t.Context(), "select null::numeric").Scan(&none), "NULL is no amount")
	var rate money.Rate
	check.NoError(t, db.QueryRow(t.Context(), "select 0::numeric(3, 2)").Scan(&rate))
	check.Equal(t, rate, "0.00")
}
