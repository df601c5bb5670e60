//go:build !pgdbm_pgxscan

package rowscan

const decoding = true
