// Package prom exports what a pgdbm pool counts to Prometheus. It is a Go module
// of its own, so that those who do not use it do not download Prometheus' client.
//
//	prometheus.MustRegister(prom.New(pool))
//
// Several pools in one registry need a label to tell them apart:
//
//	prometheus.WrapRegistererWith(prometheus.Labels{"pool": "reports"}, registry).MustRegister(prom.New(reports))
//
// The series of a module are those of [pgdbm.ModuleMetrics], labelled module:
//
//	pgdbm_statements_total, pgdbm_rows_total, pgdbm_calls_in_flight
//	pgdbm_errors_total{class}
//	pgdbm_call_duration_seconds (a histogram)
//	pgdbm_transactions_total{outcome="committed|rolled_back"}, pgdbm_transaction_retries_total
//
// and those of the pool:
//
//	pgdbm_pool_connections{state="idle|in_use|constructing"}, pgdbm_pool_max_connections
//	pgdbm_pool_acquires_total, pgdbm_pool_acquire_seconds_total, pgdbm_pool_acquires_canceled_total
//	pgdbm_pool_waits_total, pgdbm_pool_wait_seconds_total
//	pgdbm_pool_connections_opened_total, pgdbm_pool_connections_closed_total{reason="lifetime|idle"}
//
// A module has 40 series, and a pool counts at most 257 of them apart.
package prom
