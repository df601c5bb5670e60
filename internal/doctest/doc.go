// Package doctest compiles the Go code of the documentation: every ```go block
// of README.md and docs/*.md, in one go build. An error names the line of the
// document.
//
// # Blocks
//
// A block is compiled as what it looks like:
//
//   - with a package clause, it is a package of its own;
//   - with declarations only, a file of one;
//   - else it is the body of a function.
//
// Code without any import declaration gets the imports it needs, from the table
// in imports.go and from the packages of the same document. Variables that the
// outermost level of a function body declares count as used, and a function body
// may return: the last of the results is an error, the others are of type any.
// A //go:embed pattern finds a file.
//
// # Context
//
// Comments right above a block, each on a line of its own, say what it relies on:
//
//	<!-- with: ctx context.Context, db pgdbm.DB, users *repo.Repository[User] -->
//	<!-- package: users -->
//	<!-- file: store.go package: users -->
//
// "with" declares variables: parameters of a function body, else of the package.
// "package" puts the blocks of one document that name it into one package, which
// the other blocks of that document can use by its name. "file" also names the
// file, for messages; a package has one file of a name.
//
// # What is not compiled
//
// Code that is not meant to compile is written as ```text. Nothing is skipped
// silently: a fence without a language, a language that is nearly "go", and a
// comment as above with no ```go block below are errors.
package doctest
