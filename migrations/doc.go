// Package migrations brings PostgreSQL schemas up to date from SQL files.
//
// A module's files are read once with [Load], which parses and lints all of
// them without a database and reports every problem at once. [New] binds
// sources to schemas, and [Migrator.Up] applies what is missing, each file in
// one transaction together with the row that records it. Any number of
// processes may call Up at the same time; every file runs once.
//
//	src, err := migrations.Load(fsys, migrations.LoadOptions{})
//	m, err := migrations.New(pool, []migrations.Target{{Module: "users", Schema: "users", Source: src}}, migrations.Config{})
//	report, err := m.Up(ctx)
//
// # Files
//
// Files are *.sql at the root of the file system: 0042_add_email.sql, or
// 20250102150405_add_email.sql. Versions are integers, compared as numbers.
// 0042_add_email.down.sql undoes its sibling. R_views.sql is repeatable: it runs
// after the versioned files whenever its text has changed. V42__name.sql,
// 0042_name.up.sql and 20250102_150405_name.sql are accepted too, and files of
// goose, dbmate and tern, which hold both directions. Any other *.sql at the root is
// an error; other files and folders are ignored.
//
// What SQL cannot compute is a [GoMigration]: a function that runs among the
// files, in the same way.
//
// A checkpoint is a file that stands for those before it: a new schema begins with
// it, one that has run them never does.
//
// Where what is recorded is wrong, [Migrator.Resolve] repairs it, and records that.
//
// # Templates
//
// {{schema}}, {{tables.t}} and {{tables.module.t}} expand to quoted names,
// {{schema.literal}} to the schema's name as a string, {{var.name}} to a value
// of [LoadOptions]. {{{{ stands for a literal {{.
//
// # Directives
//
// Comments at the head of a file, before its first statement:
//
//	-- pgdbm:no-transaction             run each statement on its own (CREATE INDEX CONCURRENTLY)
//	-- pgdbm:lock-timeout 2s            how long a statement waits for a lock; 0: for ever
//	-- pgdbm:statement-timeout 10m      how long a statement runs; 0: for ever
//	-- pgdbm:out-of-order               may run although a later version has been applied
//	-- pgdbm:on-retry resume|restart    after a failure of a no-transaction file (default: resume)
//	-- pgdbm:exclusive database         never at the same time as another such file, in any schema
//	-- pgdbm:checkpoint 1-40            stands for these versions: a new schema begins here
//	-- pgdbm:lint-ignore rule reason    silences a lint rule for this file
//
// # Tenants
//
// [Migrator.Tenants] puts one more module on any number of schemas: one for each
// tenant. [Tenants.Ensure] creates one, [Tenants.Up] brings all of them up to date
// with several workers, and [Tenants.Status] looks at all with one query.
package migrations
