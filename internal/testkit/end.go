package testkit

import (
	"context"
	"errors"
	"fmt"
	"time"
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
		tb.Logf("pgdbmtest: %s is not used again: %v", d.name, err)
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
		patience := time.Second // one that was closed a moment ago may still be on its way out
		if !s.close(ctx) {
			patience = 0
		}
		if k.leaks(ctx, tb, s, nil, patience) {
			return errLeak
		}
	} else if !s.returned(ctx) {
		k.leaks(ctx, tb, s, s.pool, 0)
		return errLeak
	}
	switch {
	case !k.recycle:
		return errNoRecycling
	case s.facts.unfit != nil:
		return s.facts.unfit
	case s.uses >= maxUses:
		return errWornOut
	}
	if d.exposed.Load() {
		if err := s.reopen(ctx); err != nil {
			return err
		}
	}
	err := s.recycle(ctx)
	if errors.Is(err, errLeak) {
		k.leaks(ctx, tb, s, s.pool, 0)
	}
	return err
}
