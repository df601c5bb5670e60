//go:build pgdbm_pgxscan

package rowscan

const decoding = false // pgx scans everything
