package testkit

import (
	"context"
	"sync/atomic"
	"time"
)

// current is what [Stop] stops.
var current atomic.Pointer[kit]

// Stop lets the server go and waits for what goes on in the background, so that
// a TestMain can look for goroutines that the tests have left. No test may use
// this package any more. Databases that are left the next process sweeps.
func Stop() {
	if k := current.Swap(nil); k != nil {
		k.stop()
	}
}

func (k *kit) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	for range cap(k.making) { // nothing is being made, and nothing will be
		k.making <- struct{}{}
	}
	for k.drops.busy() && ctx.Err() == nil {
		wait(ctx, 5*time.Millisecond)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range k.templates {
		t.free.mu.Lock()
		for _, s := range t.free.free {
			s.close(ctx)
		}
		t.free.free = nil
		t.free.mu.Unlock()
	}
	k.admin.Close()
	k.lease.close(ctx)
	if k.server.embedded != nil {
		_ = k.server.embedded.Close(ctx)
	}
}

func (d *dropper) busy() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.running
}
