package pgdbm_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestMask(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"":                                                "",
		"postgres://bob:x@h/d?sslmode=require":            "postgres://bob:xxxxx@h/d?sslmode=require",
		"postgres://bob@h/d":                              "postgres://bob@h/d",
		"postgresql://bob:a%40b@[::1]:5432/d":             "postgresql://bob:xxxxx@[::1]:5432/d",
		"postgres://bob:s3cret@h1:1,h2:2/d":               "postgres://bob:xxxxx@h1:1,h2:2/d",
		"postgres://bob:p@ss/w?rd@h/d":                    "postgres://bob:xxxxx@h/d",
		"postgres://bob:s3cret":                           "postgres://bob:xxxxx", // the host was forgotten
		"postgres://h:5432/d?user=bob&password=a?b=c&x=1": "postgres://h:5432/d?user=bob&password=xxxxx&x=1",
		"postgres://h/d?pass%77ord=s3cret&PASSWORD=b":     "postgres://h/d?pass%77ord=xxxxx&PASSWORD=xxxxx",
		"postgres://h/d?sslpassword=s3cret":               "postgres://h/d?sslpassword=xxxxx",
		"postgres://h/d password=s3cret":                  "postgres://h/d password=xxxxx",
		"mysql://bob:s3cret@h/d":                          "mysql://bob:xxxxx@h/d",
		"host=h password=s3cret dbname=d":                 "host=h password=xxxxx dbname=d",
		"host=h password = 's3 c\\'ret' dbname=d":         "host=h password = xxxxx dbname=d",
		`password=a\ b user=u`:                            "password=xxxxx user=u",
		"PASSWORD=s3cret sslpassword=x host=h":            "PASSWORD=xxxxx sslpassword=xxxxx host=h",
		"host=h password=my s3=cret host=h":               "host=h password=xxxxx xxxxx host=h",
		"host=h password=my s3cret host=h":                "host=h password=xxxxx xxxxx",
		"host=h password='s3cret host=h":                  "host=h password=xxxxx",
		"what is this":                                    "xxxxx",
		"service=shop":                                    "service=shop",
	} {
		testkit.Equal(t, pgdbm.Mask(dsn), want)
	}
}

// shown is all that may be written of a Config.
func shown(t *testing.T, c pgdbm.Config) map[string]string {
	t.Helper()
	type embeds struct {
		pgdbm.Config
		Name string
	}
	type has struct {
		DB      pgdbm.Config
		pointer *pgdbm.Config
	}
	var text, js strings.Builder
	attrs := []any{"config", c, "pointer", &c, "embedded", embeds{Config: c}, "has", has{DB: c}, "tls", c.TLS}
	timeless := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	slog.New(slog.NewTextHandler(&text, timeless)).Info("x", attrs...)
	slog.New(slog.NewJSONHandler(&js, timeless)).Info("x", attrs...)
	encoded, err := json.Marshal(map[string]any{"c": c, "p": &c, "embedded": embeds{Config: c}, "has": []has{{DB: c, pointer: &c}}, "tls": c.TLS})
	testkit.NoError(t, err)
	texts := map[string]string{"String": c.String(), "slog text": text.String(), "slog JSON": js.String(), "JSON": string(encoded)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		texts[verb] = fmt.Sprintf(strings.Repeat(verb+" ", 7), c, &c, embeds{Config: c}, &embeds{Config: c}, []has{{DB: c}}, []pgdbm.Config{c}, c.TLS)
	}
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		texts[verb+" of a pointer"] = fmt.Sprintf(verb, has{DB: c, pointer: &c})
	}
	return texts
}

func TestConfigShowsNoPassword(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"postgres://u:hunter2a@h/d", "host=h password=hunter2b", "postgres://u:hunter2c@h:notaport/d"} {
		for how, text := range shown(t, pgdbm.Config{
			ConnString: dsn, DirectConnString: dsn, ReplicaConnString: dsn, Password: "hunter2d", MaxConns: 7, OnConnect: []string{"set x to 'hunter2g'"},
			TLS: pgdbm.TLSConfig{Mode: "require", KeyPassword: "hunter2e"}, RuntimeParams: map[string]string{"my.secret": "hunter2f"},
		}) {
			if strings.Contains(text, "hunter2") || !strings.Contains(text, "KeyPassword:xxxxx") || !strings.Contains(text, "Mode:require") {
				t.Errorf("%s: %s", how, text)
			}
		}
	}
	for _, host := range []string{"postgres://u:hunter2@h/d", "u:hunter2@h", "u:hunter2@h:5432"} { // what is for ConnString
		c := pgdbm.Config{Host: host}
		for how, text := range shown(t, c) {
			if strings.Contains(text, "hunter2") {
				t.Errorf("%s: %s", how, text)
			}
		}
		if err := c.Validate(); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", host, err)
		}
	}
	c := pgdbm.Config{ConnString: "postgres://u:p@h/d", MaxConns: 7, Logger: slog.Default(), ConnectRetry: pgdbm.RetryConfig{Attempts: 3}}
	testkit.Equal(t, c.String(), "{ConnString:postgres://u:xxxxx@h/d MaxConns:7 ConnectRetry:{Attempts:3} Logger:set}")
}

func TestPoolShowsNoPassword(t *testing.T) {
	t.Parallel()
	pool, err := pgdbm.New(pgdbm.Config{Host: "h", Password: secret, TLS: pgdbm.TLSConfig{KeyPassword: secret, Cert: tlsFile("client.crt"), Key: tlsFile("plain.key")}})
	testkit.NoError(t, err)
	defer func() { testkit.NoError(t, pool.Close(t.Context())) }()
	m, err := pool.Manager("")
	testkit.NoError(t, err)
	text := fmt.Sprintf("%v %+v %#v %s %q %+v %+v", pool, pool, pool, pool, pool, m, struct{ p *pgdbm.Pool }{pool})
	if strings.Contains(text, secret) || !strings.Contains(text, "@h:5432/") {
		t.Error(text)
	}
}

// FuzzMask puts a password into connection strings of every form, as it should
// be written and as it should not, and looks for it in all that is written of them.
func FuzzMask(f *testing.F) {
	for _, password := range []string{"hunter2", "p@ss:w/o?r#d", "it's", `back\slash`, "a b=c", "a&b", "100%41", "%40", "x host=y", "[::1]", "ünï©ode", "'", `\'`, "a@12/w?x=y", "://", "=", "p ://q"} {
		for form := range uint8(14) {
			f.Add(password, form)
		}
	}
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	escape := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	f.Fuzz(func(t *testing.T, password string, n uint8) {
		if strings.ContainsAny(password, "\x00\n") || len(strings.TrimSpace(password)) < 3 {
			t.Skip("nobody's password, or in every text")
		}
		forms := []struct {
			before, password, after string
			proper                  bool
		}{
			{"postgres://U:", escape(password), "@H/D?sslmode=disable", true},
			{"postgres://U:", escape(password), "@H:1,H:2,[::1]/D", true},
			{"postgresql://H/D?user=U&password=", escape(password), "&application_name=A", true},
			{"postgres://H:5432?sslpassword=", escape(password), "", true},
			{"host=H password='", quote.Replace(password), "' dbname=D", true},
			{"password = '", quote.Replace(password), "'", true},
			{"sslpassword='", quote.Replace(password), "' host=H", true},
			{"postgres://U:", password, "@H/D?sslmode=disable", false},
			{"postgres://U:", password, "@H:port/D", false},
			{"postgres://U:", password, "@H:1,H:2/D", false},
			{"postgres://H/D?password=", strings.ReplaceAll(password, "&", ""), "", false},
			{"host=H dbname=D password=", password, "", false},
			{"host=H password=", password, " dbname=D", false},
			{"host=H PASSWORD='", password, "' dbname=D", false},
		}
		form := forms[int(n)%len(forms)]
		dsn := form.before + form.password + form.after
		look := func(where, text string) {
			t.Helper()
			text = noise.ReplaceAllString(text, "\x00")
			for _, s := range []string{password, form.password} {
				if s != "" && strings.Contains(text, s) && !strings.Contains(form.before+"\x00"+form.after+knownTexts, s) {
					t.Fatalf("%q of %q shows in %s: %.500q", password, dsn, where, text)
				}
			}
		}
		look("Mask", pgdbm.Mask(dsn))
		c := pgdbm.Config{ConnString: dsn, DirectConnString: dsn, Password: password, TLS: pgdbm.TLSConfig{KeyPassword: password}}
		for where, text := range shown(t, c) {
			look(where, text)
		}
		if !form.proper { // it may name files, which New would read
			return
		}
		pool, err := pgdbm.New(pgdbm.Config{ConnString: dsn})
		if err != nil {
			look("error", err.Error())
			return
		}
		look("Pool", fmt.Sprintf("%+v", pool))
		testkit.NoError(t, pool.Close(t.Context()))
	})
}

// noise is in every text: the mask, and addresses.
var noise = regexp.MustCompile(`xxxxx|0x[0-9a-f]+`)

// knownTexts is what may be in every text.
var knownTexts = func() string {
	c := pgdbm.Config{ConnString: "host=H", DirectConnString: "host=H", Password: "x", TLS: pgdbm.TLSConfig{KeyPassword: "x"}}
	encoded, _ := json.Marshal(map[string]any{"c": c, "p": &c, "embedded": c, "has": []any{}, "tls": c.TLS, "DB": c})
	return fmt.Sprintf("%s %#v xxxxx time level msg INFO config pointer embedded has tls %s 0x0123456789abcdef {Config: DB: Name: pgdbm_test.has", c, c, encoded)
}()
