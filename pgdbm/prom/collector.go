package prom

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// New returns a collector of what pool counts. It reads [pgdbm.Pool.Metrics] when
// it is scraped and asks the database nothing. Safe for concurrent use; nothing to
// close.
func New(pool *pgdbm.Pool) prometheus.Collector { return &collector{pool} }

type collector struct {
	pool *pgdbm.Pool
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("pgdbm_"+name, help, labels, nil)
}

var (
	poolConnections    = desc("pool_connections", "Connections of the pool by state: idle, in_use, constructing.", "state")
	poolMaxConnections = desc("pool_max_connections", "Most connections that the pool opens.")
	poolOpened         = desc("pool_connections_opened_total", "Connections opened.")
	poolClosed         = desc("pool_connections_closed_total", "Connections that the pool closed because of their age, because they were idle or because they had served many schemas.", "reason")
	poolAcquires       = desc("pool_acquires_total", "Connections taken out of the pool.")
	poolAcquireTime    = desc("pool_acquire_seconds_total", "Time that taking them out took.")
	poolWaits          = desc("pool_waits_total", "Acquires that found no idle connection and had to wait.")
	poolWaitTime       = desc("pool_wait_seconds_total", "Time that these waits took.")
	poolGivenUp        = desc("pool_acquires_canceled_total", "Acquires given up because their context ended.")

	statements   = desc("statements_total", "Statements that were answered, those in batches and COPY included.", "module")
	rows         = desc("rows_total", "Rows returned or affected.", "module")
	failures     = desc("errors_total", "Statements, batches and acquires that failed, by class of the error.", "module", "class")
	inFlight     = desc("calls_in_flight", "Statements, batches and COPY that have not ended: each holds a connection.", "module")
	duration     = desc("call_duration_seconds", "Time from sending a statement, batch or COPY until its last row was read.", "module")
	transactions = desc("transactions_total", "Transactions by outcome: committed, rolled_back.", "module", "outcome")
	retries      = desc("transaction_retries_total", "Attempts of transactions that were repeated.", "module")

	all = []*prometheus.Desc{
		poolConnections, poolMaxConnections, poolOpened, poolClosed, poolAcquires, poolAcquireTime, poolWaits, poolWaitTime, poolGivenUp,
		statements, rows, failures, inFlight, duration, transactions, retries,
	}
)

// Describe implements [prometheus.Collector].
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range all {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	m := c.pool.Metrics()

	gauge(poolConnections, float64(m.Pool.IdleConns()), "idle")
	gauge(poolConnections, float64(m.Pool.AcquiredConns()), "in_use")
	gauge(poolConnections, float64(m.Pool.ConstructingConns()), "constructing")
	gauge(poolMaxConnections, float64(m.Pool.MaxConns()))
	counter(poolOpened, float64(m.Pool.NewConnsCount()))
	counter(poolClosed, float64(m.Pool.MaxLifetimeDestroyCount()), "lifetime")
	counter(poolClosed, float64(m.Pool.MaxIdleDestroyCount()), "idle")
	counter(poolClosed, float64(m.MaxSchemasDestroyCount), "schemas")
	counter(poolAcquires, float64(m.Pool.AcquireCount()))
	counter(poolAcquireTime, m.Pool.AcquireDuration().Seconds())
	counter(poolWaits, float64(m.Pool.EmptyAcquireCount()))
	counter(poolWaitTime, m.Pool.EmptyAcquireWaitTime().Seconds())
	counter(poolGivenUp, float64(m.Pool.CanceledAcquireCount()))

	for _, mod := range m.Modules {
		counter(statements, float64(mod.Statements), mod.Module)
		counter(rows, float64(mod.Rows), mod.Module)
		for class, n := range mod.Errors {
			counter(failures, float64(n), mod.Module, class)
		}
		gauge(inFlight, float64(mod.InFlight), mod.Module)
		ch <- histogram(mod)
		counter(transactions, float64(mod.Committed), mod.Module, "committed")
		counter(transactions, float64(mod.RolledBack), mod.Module, "rolled_back")
		counter(retries, float64(mod.Retried), mod.Module)
	}
}

// histogram returns the durations as Prometheus wants them: each bucket with all
// that are below it.
func histogram(m pgdbm.ModuleMetrics) prometheus.Metric {
	buckets := make(map[float64]uint64, len(m.Duration.Bounds))
	var n uint64
	for i, bound := range m.Duration.Bounds {
		n += uint64(m.Duration.Counts[i])
		buckets[seconds(bound)] = n
	}
	return prometheus.MustNewConstHistogram(duration, uint64(m.Duration.Count()), seconds(m.Duration.Sum), buckets, m.Module)
}

func seconds(d time.Duration) float64 { return float64(d) / float64(time.Second) }
