// Package embedded finds, installs and runs a private PostgreSQL for
// development, examples and tests. Nothing has to be configured: binaries that
// are installed are found, and where there are none they are downloaded.
//
// There are two kinds of server.
//
// The shared server (the zero [Config]) is for tests: one per operating-system
// user and PostgreSQL version, started by the first process that needs it and
// joined by all others. It listens on a Unix socket in a directory that nobody
// else may enter, trades durability for speed, and stops by itself when it has
// had no client for [Config.Idle]. Its data directory stays, so that the next
// start takes a fraction of a second and finds the databases of the last one.
//
// A private server ([Config.Private]) belongs to the process that started it:
// an example application, a command-line tool. It is durable, and
// [Server.Close] stops it and removes everything it wrote. When its owner dies
// without closing it, it stops within seconds.
//
// Neither kind outlives its use, whatever happens to its clients: a watchdog
// session inside the server itself ends it, so not even SIGKILL leaves an
// orphan.
//
// The package works as root (the server then runs as the user postgres, or
// nobody) and as an ordinary user, on Linux and macOS.
//
// # Which PostgreSQL
//
// The newest that is installed; where none is, the newest that was downloaded
// before; where there is none either, one is downloaded, its checksum verified,
// and kept in /var/cache/pgdbm (for root) or in the user's cache directory. So
// what was downloaded for one run never replaces what the system has. A certain
// version is looked for in the same order.
//
// The environment has a say:
//
//   - PGDBM_PG_VERSION=14 asks for that major version, in all that this package
//     starts, unless [Config.Version] or an existing [Config.DataDir] does.
//   - PGDBM_PG_BIN names the directory of the binaries. It is an error if they are
//     not of the version that is asked for.
//   - PGDBM_DOWNLOAD=off forbids downloads.
//   - PATH is searched for the server and for pg_config.
package embedded
