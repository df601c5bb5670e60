package web

import (
	_ "embed"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
)

//go:embed gateway.html
var gatewayPage string

var gateway = template.Must(template.New("gateway").Parse(gatewayPage))

func newEndpoint(pattern, about string) endpoint {
	method, path, _ := strings.Cut(pattern, " ")
	return endpoint{Method: method, Path: path, About: about}
}

// Link reports whether a browser can follow the endpoint as it is.
func (e endpoint) Link() bool { return e.Method == http.MethodGet && !strings.Contains(e.Path, "{") }

// gateway is the page for people: every endpoint and what it is about.
func (a *API) gateway(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	if err := gateway.Execute(w, a.endpoints); err != nil {
		a.log.DebugContext(r.Context(), "gateway page", slog.String("error", err.Error()))
	}
}
