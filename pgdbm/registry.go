package pgdbm

import (
	"fmt"
	"sync"
)

// pools counts the open pools of the process by database, so that a second one
// can be pointed out: every pool takes its own share of the server's connections.
var pools = struct {
	sync.Mutex
	open map[string]int
}{open: map[string]int{}}

// database names what p connects to, and as whom: a pool of another user is no
// substitute.
func (p *Pool) database() string {
	cc := p.pgx.Config().ConnConfig
	return fmt.Sprintf("%s@%s:%d/%s", cc.User, cc.Host, cc.Port, cc.Database)
}

// warnSecond notes that p is open and warns when it is not the only pool.
func (p *Pool) warnSecond() {
	pools.Lock()
	defer pools.Unlock()
	pools.open[p.database()]++
	if n := pools.open[p.database()]; n > 1 {
		p.log.Warn("another pool to the same database is open in this process; share one: pool.Manager(schema), or pgdbm.Borrow(pool, cfg)",
			"pools", n, "database", p.database())
	}
}

// forget notes that p is closed.
func forget(p *Pool) {
	pools.Lock()
	defer pools.Unlock()
	if pools.open[p.database()]--; pools.open[p.database()] <= 0 {
		delete(pools.open, p.database())
	}
}
