package testkit

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// end takes a database back from its test: to be kept for a person, to serve
// the next test, or to be dropped in the background.
func (k *kit) end(tb TB, d *Database) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	d.ended.Store(true)
	s := d.slot
	s.tracer.watch(nil)
	if d.keep.Load() || k.env.keep == "all" || k.env.keep == "failed" && tb.Failed() {
		k.keep(ctx, tb, s)
		return
	}
	err := k.again(ctx, tb, d)
	if err == nil {
		s.tpl.give(delivery{slot: s})
		return
	}
	if k.env.verbose {
		tb.Logf("testkit: %s is not used again: %v", d.name, err)
	}
	go s.tpl.replace(context.WithoutCancel(ctx))
	k.drops.add(s)
}

var (
	errNoRecycling = errors.New("every test gets a new database on this server")
	errWornOut     = fmt.Errorf("used %d times", maxUses)
	errLeak        = errors.New("connections are still open")
)

// again makes the database as new as a clone, or says why it is not.
func (k *kit) again(ctx context.Context, tb TB, d *Database) error {
	tb.Helper()
	s := d.slot
	if d.exposed.Load() {
		s.close(ctx)
		if k.leaks(ctx, tb, s, nil) {
			return errLeak
		}
	} else if !s.returned(ctx) {
		k.leaks(ctx, tb, s, s.pool)
		return errLeak
	}
	switch {
	case !k.recycle:
		return errNoRecycling
	case s.tpl.unfit() != nil:
		return s.tpl.unfit()
	case s.uses >= maxUses:
		return errWornOut
	}
	if d.exposed.Load() {
		if err := s.reopen(ctx); err != nil {
			return err
		}
	}
	return s.recycle(ctx)
}

// keep leaves the database to a person, under a name that no sweep touches.
func (k *kit) keep(ctx context.Context, tb TB, s *slot) {
	tb.Helper()
	s.close(ctx)
	name := strings.Replace(s.name, "pgdbm_t_", "pgdbm_kept_", 1)
	_, err := k.admin.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", s.name)
	if err == nil {
		err = s.rename(ctx, name)
	}
	if err != nil {
		tb.Logf("testkit: the database cannot be kept: %v", err)
		return
	}
	tb.Logf("testkit: kept for you:\n  psql '%s'\n  DROP DATABASE %s; when you are done", k.server.connString(name), name)
}
