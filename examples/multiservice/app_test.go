package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/internal/check"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/orders"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/web"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

func TestTheApplicationIsWired(t *testing.T) {
	t.Parallel()
	for _, opts := range []options{{addr: "127.0.0.1:0"}, {exit: true}} {
		a := &application{migrated: &migrated{}}
		check.NoError(t, fx.ValidateApp(a.options(pgdbm.Config{Host: "h"}, opts, slog.New(slog.DiscardHandler))))
	}
}

// api is the application's API on a database of the test's own.
type api struct{ *httptest.Server }

func setup(t *testing.T) api {
	t.Helper()
	var handler *web.API
	app := fxtest.New(t, fx.NopLogger,
		pgdbmtest.FX(t, pgdbmtest.WithModules(orders.Module)),
		fx.Supply(slog.New(slog.DiscardHandler)),
		services, fx.Populate(&handler))
	app.RequireStart()
	t.Cleanup(app.RequireStop)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return api{server}
}

// call sends a request and returns the status and the JSON of its answer.
func (a api) call(t *testing.T, method, path, body string) (int, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, a.URL+path, strings.NewReader(body))
	check.NoError(t, err)
	response, err := a.Client().Do(request)
	check.NoError(t, err)
	defer response.Body.Close() //nolint:errcheck // it was only read
	check.Equal(t, response.Header.Get("Content-Type"), "application/json")
	var answer map[string]any
	check.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	return response.StatusCode, answer
}

// want is call for a status that must come.
func (a api) want(t *testing.T, status int, method, path, body string) map[string]any {
	t.Helper()
	got, answer := a.call(t, method, path, body)
	if got != status {
		t.Fatalf("%s %s: status %d, want %d: %v", method, path, got, status, answer)
	}
	return answer
}

// open adds a customer and 2 anvils to an empty shop.
func (a api) open(t *testing.T) {
	t.Helper()
	a.want(t, 201, "POST", "/customers", `{"id": "ACME", "company": "Acme", "country": "USA"}`)
	a.want(t, 201, "POST", "/products", `{"name": "Anvil", "price": "99.5", "in_stock": 2}`)
}

func TestShopping(t *testing.T) {
	t.Parallel()
	a := setup(t)
	a.open(t)
	check.Equal(t, a.want(t, 200, "GET", "/customers/ACME", "")["company"], any("Acme"))
	check.Equal(t, a.want(t, 200, "GET", "/products/1", "")["price"], any("99.50"))

	order := `{"customer": "ACME", "lines": [{"product": 1, "quantity": 2}]}`
	placed := a.want(t, 201, "POST", "/orders", order)
	check.Equal(t, placed["lines"], any([]any{map[string]any{
		"product": 1.0, "quantity": 2.0, "price": "99.50", "discount": "0.00", "amount": "199.0000",
	}}))
	check.Equal(t, placed["shipped_on"], nil)
	check.Equal(t, a.want(t, 200, "GET", "/orders/1", ""), placed)
	check.Equal(t, a.want(t, 200, "GET", "/orders", "")["items"], any([]any{placed}))

	soldOut := a.want(t, 409, "POST", "/orders", order)
	check.Equal(t, soldOut, map[string]any{"error": "conflict: sold out: product 1 (Anvil): 2 wanted, 0 left"})
	check.Equal(t, a.want(t, 200, "POST", "/products/1/stock", `{"delta": 5}`), map[string]any{"product": 1.0, "in_stock": 5.0})
	a.want(t, 201, "POST", "/orders", order)
	check.Equal(t, a.want(t, 200, "GET", "/products/1/stock", ""), map[string]any{"product": 1.0, "in_stock": 3.0})

	pending := func() int { return len(a.want(t, 200, "GET", "/notifications", "")["items"].([]any)) } //nolint:errcheck // a panic will do
	check.Equal(t, pending(), 2)
	sent := a.want(t, 200, "POST", "/notifications/deliver?limit=1", "")["sent"]
	check.Equal(t, len(sent.([]any)), 1) //nolint:errcheck // a panic will do
	check.Equal(t, pending(), 1)
}

func TestErrorsAreJSON(t *testing.T) {
	t.Parallel()
	a := setup(t)
	a.open(t)
	for _, test := range []struct {
		status             int
		method, path, body string
		want               string
	}{
		{400, "POST", "/customers", `{"id": "X"`, "bad request: unexpected EOF"},
		{400, "POST", "/customers", ``, "bad request: the body is empty"},
		{400, "POST", "/customers", `{} {}`, "bad request: one JSON value, please"},
		{400, "POST", "/customers", `{"name": "X"}`, `bad request: unknown field "name"`},
		{400, "POST", "/customers", `[]`, "bad request: cannot unmarshal array"},
		{400, "POST", "/products", `{"name": "X", "price": 1.5}`, "not a decimal number in quotes"},
		{400, "GET", "/products/one", ``, `bad request: "one" is not a number`},
		{400, "GET", "/products?limit=0", ``, `bad request: limit "0"`},
		{400, "GET", "/products?limit=101", ``, `bad request: limit "101"`},
		{400, "GET", "/products?after=x", ``, "bad cursor"},
		{404, "GET", "/customers/NOBODY", ``, `not found: customer "NOBODY"`},
		{404, "GET", "/products/99", ``, "not found: product 99"},
		{404, "GET", "/orders/99", ``, "not found: order 99"},
		{404, "GET", "/nothing", ``, "Not Found"},
		{405, "PUT", "/customers", ``, "Method Not Allowed"},
		{409, "POST", "/customers", `{"id": "ACME", "company": "A", "country": "B"}`, `conflict: there is a customer "ACME" already`},
		{409, "POST", "/products/1/stock", `{"delta": -3}`, "conflict: sold out"},
		{413, "POST", "/customers", `{"id": "` + strings.Repeat("X", 1<<20) + `"}`, "request body too large"},
		{422, "POST", "/customers", `{"id": "x"}`, `invalid value: id "x"`},
		{422, "POST", "/customers", `{"id": "ZETA", "company": "\u0000", "country": "B"}`, "invalid value"},
		{422, "POST", "/products/1/stock", `{"delta": 2147483647}`, "invalid value"},
		{422, "POST", "/orders", `{"customer": "NOBODY", "lines": [{"product": 1, "quantity": 1}]}`, `broken reference: there is no customer "NOBODY"`},
		{422, "POST", "/orders", `{"customer": "ACME", "lines": [{"product": 9, "quantity": 1}]}`, "broken reference: there is no product 9"},
		{422, "POST", "/orders", `{"customer": "ACME", "lines": [{"product": 1, "quantity": -1}]}`, "invalid value: line 1: quantity -1"},
		{422, "POST", "/orders", `{"customer": "ACME"}`, "invalid value: an order has lines"},
	} {
		answer := a.want(t, test.status, test.method, test.path, test.body)
		if message, ok := answer["error"].(string); !ok || !strings.Contains(message, test.want) {
			t.Errorf("%s %s: %v, want %q", test.method, test.path, answer, test.want)
		}
	}
}

func TestPagesFollowEachOtherAndEndWithoutACursor(t *testing.T) {
	t.Parallel()
	a := setup(t)
	for _, id := range []string{"C3", "A1", "E5", "B2", "D4"} {
		a.want(t, 201, "POST", "/customers", `{"id": "`+id+`", "company": "x", "country": "y"}`)
	}
	pages := [][]string{}
	for after := any(""); after != nil; {
		page := a.want(t, 200, "GET", "/customers?limit=2&after="+after.(string), "") //nolint:errcheck // a panic will do
		var ids []string
		for _, item := range page["items"].([]any) { //nolint:errcheck // a panic will do
			ids = append(ids, item.(map[string]any)["id"].(string)) //nolint:errcheck // a panic will do
		}
		pages = append(pages, ids)
		after = page["next"]
	}
	check.Equal(t, pages, [][]string{{"A1", "B2"}, {"C3", "D4"}, {"E5"}})
}

func TestTheGatewayListsTheEndpoints(t *testing.T) {
	t.Parallel()
	a := setup(t)
	response, err := a.Client().Get(a.URL)
	check.NoError(t, err)
	defer response.Body.Close() //nolint:errcheck // it was only read
	page, err := io.ReadAll(response.Body)
	check.NoError(t, err)
	check.Equal(t, response.Header.Get("Content-Type"), "text/html; charset=utf-8")
	for _, part := range []string{`<a href="/customers">`, "<code>/products/{id}/stock</code>", `<a href="/healthz">`, "POST", "/notifications/deliver"} {
		if !strings.Contains(string(page), part) {
			t.Errorf("%q is not on the page:\n%s", part, page)
		}
	}
	a.want(t, 200, "GET", "/healthz", "")
}
