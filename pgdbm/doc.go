// Package pgdbm lets the services of a process share one PostgreSQL: one pool,
// and a [Manager] for each service, bound to its schema for life.
//
// A [Pool] is opened once ([Open], or [New] without touching the network; or
// [Borrow] for a pgx pool that exists already). [Pool.Manager] binds a schema.
// Application code takes a [DB], which is a Manager or a [Tx].
//
// # Templates
//
// SQL names tables through templates, so that the same text works in every
// schema:
//
//	template                     bound to schema app           no schema bound
//	{{schema}}                   "app"                         "public"
//	{{tables.users}}             "app"."users"                 "users"
//	{{tables.billing.invoices}}  "<schema of billing>"."invoices", in both
//
// For a manager of a module.Set, billing is the name of a module that was
// declared a dependency; for one made by [Pool.Manager] it is the schema itself.
// Templates are expanded everywhere in the text, also in strings and function
// bodies. One that is unknown or not closed is an error; {{{{ is a literal {{.
//
// # Rows
//
// [FetchOne], [FetchAll], [FetchValue] and [Each] read rows as structs, values or
// maps. [ExecMany] runs a statement for many sets of arguments, [ExecReturningID]
// returns the id of a new row, [CopySeq] stores the rows of an iterator.
//
// # Transactions
//
// InTx of a [DB] runs a function in a transaction: committed when it returns nil,
// undone when it returns an error, panics, or its context ends. InTxWith has
// options, among them to run it again when another transaction was in the way. On
// a [Tx] both are savepoints, to any depth. BEGIN travels with the first statement.
// Modules on one pool join a transaction with In. [Manager.Begin] is for what does
// not fit into a function.
//
// # Notifications
//
// [Manager.Listen] yields what [Notify] sends to the channels of a schema. It
// outlives its connection, and says when something may have been missed.
//
// # Errors
//
// Every error of the database is an [*Error] with a class to test for:
//
//	if errors.Is(err, pgdbm.ErrConflict) { … }
//
// Messages say which schema, table and constraint, and what to do; they never
// hold values, neither of arguments nor of rows.
//
// # Monitoring and inspection
//
// [Pool.Metrics] has counters, errors by class and latencies of every module and
// the last statements, [Config] has a log of slow statements and their plans.
// [Explain] and [ExplainAnalyze] show a plan, [Pool.Blocked], [Pool.LongRunning],
// [Pool.DatabaseStat] and [Manager.SchemaStat] what the server is doing.
package pgdbm
