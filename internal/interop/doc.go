// Package interop tests that pgdbm works beside libraries that it does not
// depend on itself. It is a Go module of its own, so that they do not become
// dependencies of ours.
package interop
