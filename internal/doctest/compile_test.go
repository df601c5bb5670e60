package doctest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/doctest"
)

// compile compiles a document, in which three apostrophes stand for a fence.
func compile(t *testing.T, lines ...string) error {
	t.Helper()
	blocks, err := doctest.Blocks("guide.md", markdown(lines...))
	if err != nil {
		t.Fatal(err)
	}
	packages, err := doctest.Packages(blocks)
	if err != nil {
		return err
	}
	return doctest.Compile(t.Context(), moduleDir(t), t.TempDir(), packages)
}

func markdown(lines ...string) string {
	return strings.ReplaceAll(strings.Join(lines, "\n"), "'''", "```")
}

func TestCompileAcceptsEveryKindOfBlock(t *testing.T) {
	t.Parallel()
	err := compile(t,
		"# Guide",
		"'''go",
		"package main // a program, imports found",
		"",
		`func main() { fmt.Println("hello") }`,
		"'''",
		"'''go",
		"package tool",
		"",
		`import text "strings"`,
		"",
		`var Upper = text.ToUpper("imports written out")`,
		"'''",
		"Declarations, one package in two files:",
		"<!-- file: users.go package: users -->",
		"'''go",
		"//go:embed migrations/*.sql",
		"var migrations embed.FS",
		"",
		"type User struct{ Name string }",
		"'''",
		"<!-- file: store.go package: users -->",
		"'''go",
		"package users",
		"",
		"func (u *User) Greet(ctx context.Context) error {",
		`	_, err := fs.ReadDir(migrations, "migrations")`,
		"	return errors.Join(err, ctx.Err())",
		"}",
		"'''",
		"A statement in that package:",
		"<!-- package: users -->",
		"<!-- with: ctx context.Context, u *User -->",
		"'''go",
		"err := u.Greet(ctx) // a variable nobody uses",
		"'''",
		"- and one outside of it, in a list:",
		"  <!-- with: ctx context.Context, load func(context.Context, string) (*users.User, error) -->",
		"  '''go",
		`  user, err := load(ctx, "ada")`,
		"  if err != nil {",
		"  	return nil, err",
		"  }",
		"  return user, user.Greet(ctx)",
		"  '''",
		"Declarations that need a variable:",
		"<!-- with: limits map[string]func(a, b int) int, zone *time.Location -->",
		"'''go",
		`var Now = time.Now().In(zone).Add(time.Duration(limits["x"](1, 2)))`,
		"'''",
		"And what is no Go code:",
		"'''text",
		"var broken =",
		"'''",
	)
	if err != nil {
		t.Error(err)
	}
}

func TestCompileNamesTheLineOfTheDocument(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		lines []string
		want  string
	}{
		"type error in a program":       {[]string{"'''go", "package main", "", "func main() { missing() }", "'''"}, "guide.md:4: undefined: missing"},
		"type error in a declaration":   {[]string{"'''go", "var a = 1", `var b string = a`, "'''"}, "guide.md:3: cannot use a"},
		"type error in a statement":     {[]string{"'''go", "n := 1", "", "n.Missing()", "'''"}, "guide.md:4: n.Missing undefined"},
		"unknown package":               {[]string{"'''go", "nowhere.Call()", "'''"}, "guide.md:2: undefined: nowhere"},
		"unknown name in a package":     {[]string{"'''go", "", `fmt.Shout("x")`, "'''"}, "guide.md:3: undefined: fmt.Shout"},
		"unused variable deeper inside": {[]string{"'''go", "for {", "	deep := 1", "}", "'''"}, "guide.md:3: declared and not used: deep"},
		"unknown import":                {[]string{"'''go", "package p", "", `import _ "nowhere.example/x"`, "'''"}, "guide.md:4: no required module provides package nowhere.example/x"},
		"syntax error in a program":     {[]string{"'''go", "package p", "", "var x =", "'''"}, "guide.md:4: expected operand"},
		"syntax error in a declaration": {[]string{"'''go", "type A struct{}", "", "func (a A Call() {}", "'''"}, "guide.md:4:"},
		"syntax error in a statement":   {[]string{"'''go", "a := 1", "b := := 2", "'''"}, "guide.md:3:"},
		"with of an unknown type":       {[]string{"<!-- with: x Missing -->", "'''go", "_ = x", "'''"}, "guide.md:1: undefined: Missing"},
		"with that is no list":          {[]string{"<!-- with: 1 + -->", "'''go", "var a = 1", "'''"}, `guide.md:1: with: "1 +" is not a parameter list`},
		"with above a package":          {[]string{"<!-- with: x int -->", "'''go", "package p", "'''"}, "guide.md:3: a block with a package clause declares its own variables"},
		"two packages in one":           {[]string{"<!-- package: a -->", "'''go", "package b", "'''"}, "guide.md:3: package b, but the comment above says a"},
		"file of no package":            {[]string{"<!-- file: a.go -->", "'''go", "var a = 1", "'''"}, "guide.md:3: file: needs package: beside it"},
		"the same file twice": {[]string{
			"<!-- file: a.go package: a -->", "'''go", "var a = 1", "'''",
			"<!-- file: a.go package: a -->", "'''go", "var b = 1", "'''",
		}, "guide.md:7: a second file a.go in package a"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := compile(t, test.lines...)
			if got := fmt.Sprint(err); !strings.HasPrefix(got, test.want) {
				t.Errorf("got %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestCompileReportsEveryMistake(t *testing.T) {
	t.Parallel()
	lines := []string{"'''go"}
	for range 15 {
		lines = append(lines, "missing()")
	}
	err := compile(t, append(lines, "'''", "'''go", "absent()", "'''")...)
	got := fmt.Sprint(err)
	for line := 2; line <= 16; line++ {
		if want := fmt.Sprintf("guide.md:%d: undefined: missing", line); !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
	if want := "guide.md:19: undefined: absent"; !strings.Contains(got, want) {
		t.Errorf("%q is missing in:\n%s", want, got)
	}
}
