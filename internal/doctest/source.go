package doctest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A source is a block made into a Go file.
type source struct {
	Block
	text string
	fset *token.FileSet
	file *ast.File
}

// newSource decides what a block is. The lines of the document stay those of
// the code through //line.
func newSource(b Block) (*source, error) {
	s := &source{Block: b}
	name := "doc"
	if b.Package != "" {
		name = b.Package
	} else if b.File != "" {
		return nil, s.errorf("file: needs package: beside it")
	}
	code := fmt.Sprintf("//line %s:%d\n%s", b.Doc, b.Line, b.Code)
	clause := fmt.Sprintf("//line %s:%d\npackage %s\n", b.Doc, b.Line, name)
	vars := ""
	if b.With != "" {
		vars = fmt.Sprintf("//line %s:%d\n", b.Doc, b.WithAt)
	}

	if file, err := parser.ParseFile(token.NewFileSet(), "", code, parser.PackageClauseOnly); err == nil {
		if b.Package != "" && file.Name.Name != b.Package {
			return nil, s.errorf("package %s, but the comment above says %s", file.Name.Name, b.Package)
		}
		if b.With != "" {
			return nil, s.errorf("a block with a package clause declares its own variables: with: is for fragments")
		}
		return s, s.parse(code)
	}

	declarations := s.parse(clause + code)
	if declarations == nil {
		if b.With == "" {
			return s, nil
		}
		variables, err := s.variables()
		if err != nil {
			return nil, err
		}
		return s, s.parse(clause + code + "\n" + vars + variables)
	}

	function := func(result, after, end string) string {
		return fmt.Sprintf("%s%sfunc _(%s) %s {\n{\n%s%s\n}\n%s}\n", clause, vars, b.With, result, code, after, end)
	}
	statements := s.parse(function("", "", ""))
	if statements != nil {
		return nil, later(declarations, statements)
	}
	result, after, end := s.ending()
	return s, s.parse(function(result, after, end))
}

func (s *source) parse(text string) (err error) {
	s.text, s.fset = text, token.NewFileSet()
	s.file, err = parser.ParseFile(s.fset, "", text, parser.ParseComments)
	return err
}

// variables writes the parameter list of "with" as declarations.
func (s *source) variables() (string, error) {
	list := "func(" + s.With + ")"
	expr, err := parser.ParseExpr(list)
	function, ok := expr.(*ast.FuncType)
	if err != nil || !ok {
		return "", fmt.Errorf("%s:%d: with: %q is not a parameter list", s.Doc, s.WithAt, s.With)
	}
	var text strings.Builder
	for _, field := range function.Params.List {
		of := list[field.Type.Pos()-1 : field.Type.End()-1] // positions count from 1
		for _, name := range field.Names {
			fmt.Fprintf(&text, "var %s %s; ", name.Name, of)
		}
	}
	return text.String(), nil
}

// later returns the error of the reading that got further: it is the likelier one.
func later(a, b error) error {
	line := func(err error) int {
		at := regexp.MustCompile(`:(\d+)`).FindStringSubmatch(err.Error())
		n := 0
		if at != nil {
			_, _ = fmt.Sscan(at[1], &n)
		}
		return n
	}
	if line(a) > line(b) {
		return a
	}
	return b
}

// ending returns what a function body lacks to compile: its results, a use of
// its variables and a terminating statement.
func (s *source) ending() (result, after, end string) {
	function, ok := s.file.Decls[len(s.file.Decls)-1].(*ast.FuncDecl)
	if !ok {
		return "", "", ""
	}
	body, ok := function.Body.List[0].(*ast.BlockStmt)
	if !ok {
		return "", "", ""
	}

	results := 0
	ast.Inspect(body, func(n ast.Node) bool {
		if r, ok := n.(*ast.ReturnStmt); ok {
			results = max(results, len(r.Results))
		}
		_, nested := n.(*ast.FuncLit)
		return !nested
	})
	if results > 0 {
		result = "(" + strings.Repeat("any, ", results-1) + "error)"
		end = "panic(0)\n"
	}

	for _, statement := range body.List {
		for _, name := range declaredBy(statement) {
			if name.Name != "_" {
				after += "\n_ = " + name.Name
			}
		}
	}
	return result, after, end
}

func declaredBy(statement ast.Stmt) (names []*ast.Ident) {
	switch statement := statement.(type) {
	case *ast.AssignStmt:
		if statement.Tok != token.DEFINE {
			return nil
		}
		for _, left := range statement.Lhs {
			if name, ok := left.(*ast.Ident); ok {
				names = append(names, name)
			}
		}
	case *ast.DeclStmt:
		declaration, ok := statement.Decl.(*ast.GenDecl)
		if !ok || declaration.Tok != token.VAR {
			return nil
		}
		for _, spec := range declaration.Specs {
			if value, ok := spec.(*ast.ValueSpec); ok {
				names = append(names, value.Names...)
			}
		}
	}
	return names
}

// withImports adds the imports that the text needs, on the line of its package
// clause so that no line moves. find returns "" for a name that is no package.
func (s *source) withImports(find func(name string) string) string {
	if len(s.file.Imports) > 0 {
		return s.text
	}
	unresolved := map[*ast.Ident]bool{}
	for _, name := range s.file.Unresolved {
		unresolved[name] = true
	}
	needed := map[string]string{}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if name, ok := selector.X.(*ast.Ident); ok && unresolved[name] {
				if found := find(name.Name); found != "" {
					needed[name.Name] = found
				}
			}
		}
		return true
	})

	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(needed)) {
		fmt.Fprintf(&text, "; import %s %q", name, needed[name])
	}
	at := s.fset.File(s.file.Name.End()).Offset(s.file.Name.End())
	return s.text[:at] + text.String() + s.text[at:]
}

var embedRE = regexp.MustCompile(`(?m)^//go:embed (.+)$`)

// embeds returns a file for each //go:embed pattern.
func (s *source) embeds() (files []string) {
	for _, m := range embedRE.FindAllStringSubmatch(s.text, -1) {
		for pattern := range strings.FieldsSeq(m[1]) {
			file := strings.ReplaceAll(strings.TrimPrefix(pattern, "all:"), "*", "x")
			if path.Ext(file) == "" {
				file = path.Join(file, "x.sql")
			}
			files = append(files, file)
		}
	}
	return files
}

func (s *source) fileName() string {
	if s.File != "" {
		return s.File
	}
	return fmt.Sprintf("line%d.go", s.Line)
}

func (s *source) errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", s.Doc, s.Line, fmt.Sprintf(format, args...))
}
