package doctest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/doctest"
)

func TestBlocks(t *testing.T) {
	t.Parallel()
	blocks, err := doctest.Blocks("guide.md", markdown(
		"<!-- an ordinary comment -->",
		"'''go",
		"a()",
		"'''",
		"<!-- file: b.go package: b -->",
		"<!-- with: x int -->",
		"<!-- with: y map[string]int -->",
		"",
		"````go",
		"b()",
		"'''",
		"````",
		"1. In a list:",
		"   '''go",
		"   if c {",
		"   	d()",
		"   }",
		"   '''",
		"~~~sh",
		"'''go",
		"~~~",
		"<!-- package: e with: f func(file: int) -->",
		"'''go",
		"'''",
	))
	if err != nil {
		t.Fatal(err)
	}
	want := []doctest.Block{
		{Doc: "guide.md", Line: 3, Code: "a()\n"},
		{Doc: "guide.md", Line: 10, Code: "b()\n```\n", File: "b.go", Package: "b", With: "x int, y map[string]int", WithAt: 6},
		{Doc: "guide.md", Line: 15, Code: "if c {\n\td()\n}\n"},
		{Doc: "guide.md", Line: 24, Package: "e", With: "f func(file: int)", WithAt: 22},
	}
	if len(blocks) != len(want) {
		t.Fatalf("got %d blocks, want %d: %+v", len(blocks), len(want), blocks)
	}
	for i := range want {
		if blocks[i] != want[i] {
			t.Errorf("block %d:\ngot  %+v\nwant %+v", i, blocks[i], want[i])
		}
	}
}

func TestBlocksSkipsNothingSilently(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		lines []string
		want  string
	}{
		"no language":              {[]string{"", "'''", "a()", "'''"}, "guide.md:2: a fence needs a language"},
		"golang":                   {[]string{"'''golang", "'''"}, `guide.md:1: "golang" is not compiled`},
		"Go":                       {[]string{"'''Go", "'''"}, `guide.md:1: "Go" is not compiled`},
		"go with an attribute":     {[]string{"'''go ignore", "'''"}, `guide.md:1: "go ignore" is not compiled`},
		"never closed":             {[]string{"'''go", "a()"}, "guide.md:1: this fence is never closed"},
		"comment above text":       {[]string{"<!-- with: x int -->", "Text.", "'''go", "'''"}, "guide.md:1: no ```go block follows"},
		"comment above other code": {[]string{"<!-- with: x int -->", "'''sql", "'''"}, "guide.md:1: no ```go block follows"},
		"comment at the end":       {[]string{"", "<!-- package: p -->"}, "guide.md:2: no ```go block follows"},
		"comment without a value":  {[]string{"<!-- file: package: p -->", "'''go", "'''"}, "guide.md:1: file: has no value"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := doctest.Blocks("guide.md", markdown(test.lines...))
			if got := fmt.Sprint(err); !strings.HasPrefix(got, test.want) {
				t.Errorf("got %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestBlocksReportsEveryMistake(t *testing.T) {
	t.Parallel()
	blocks, err := doctest.Blocks("guide.md", markdown("'''", "'''", "'''go", "a()", "'''", "'''golang", "'''"))
	if got := strings.Count(fmt.Sprint(err), "guide.md:"); got != 2 {
		t.Errorf("got %d mistakes, want 2:\n%v", got, err)
	}
	if len(blocks) != 1 {
		t.Errorf("got %d blocks, want the good one", len(blocks))
	}
}
