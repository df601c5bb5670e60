// Package testkit gives every test a PostgreSQL database of its own.
//
// The server is the one that the environment names (see [ConnString]), or the
// embedded one, which starts by itself and is shared by all test processes.
// Databases are cloned from a template, which is built once for all processes,
// and where the server allows it a database is handed to the next test after
// the server's own statistics have proved that it is as new.
//
// The package keeps one connection to the server, and its databases, for the
// life of the process: tests have no common end. What a process leaves behind is
// removed by the next.
//
// It is for this project's own tests, and the ground for pgdbmtest, which
// is for everybody's: messages begin with that name, the one that users know.
package testkit
