package pgdbm_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

type heard struct {
	n   pgdbm.Notification
	err error
}

// ear listens in a goroutine of its own until the end of the test.
type ear struct {
	t     *testing.T
	heard chan heard
	over  chan struct{} // closed when the loop has ended
	stop  func()
}

func hear(t *testing.T, listen func(context.Context) iter.Seq2[pgdbm.Notification, error]) *ear {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	e := &ear{t: t, heard: make(chan heard), over: make(chan struct{}), stop: cancel}
	go func() {
		defer close(e.over)
		for n, err := range listen(ctx) {
			select {
			case e.heard <- heard{n, err}:
			case <-ctx.Done(): // the loop ends by itself
			}
		}
	}()
	t.Cleanup(e.end)
	return e
}

// hearing is hear of channels, which are listened to when it returns.
func hearing(t *testing.T, m *pgdbm.Manager, channels ...string) *ear {
	t.Helper()
	e := hear(t, func(ctx context.Context) iter.Seq2[pgdbm.Notification, error] { return m.Listen(ctx, channels...) })
	e.missed()
	return e
}

func (e *ear) end() {
	e.stop()
	<-e.over
}

func (e *ear) next() heard {
	e.t.Helper()
	select {
	case h := <-e.heard:
		return h
	case <-time.After(30 * time.Second):
		e.t.Fatal("nothing is heard")
	case <-e.over:
		e.t.Fatal("the loop has ended")
	}
	panic("unreachable")
}

func (e *ear) missed() {
	e.t.Helper()
	if h := e.next(); h.err != nil || h.n != (pgdbm.Notification{Missed: true}) {
		e.t.Fatalf("got %+v, want Missed", h)
	}
}

func (e *ear) wants(channel, payload string) {
	e.t.Helper()
	if h := e.next(); h.err != nil || h.n.Missed || h.n.Channel != channel || h.n.Payload != payload || h.n.PID == 0 {
		e.t.Fatalf("got %+v, want %s on %s", h, payload, channel)
	}
}

func notify(t *testing.T, db pgdbm.DB, channel, payload string) {
	t.Helper()
	testkit.NoError(t, pgdbm.Notify(t.Context(), db, channel, payload))
}

// listeners counts the connections of the pool that listen: the last statement of
// one is LISTEN or, later, what asks for a sign of life.
func listeners(t *testing.T, db pgdbm.DB) int {
	t.Helper()
	n, err := pgdbm.FetchValue[int](t.Context(), db, "select count(*) from pg_stat_activity where "+listening)
	testkit.NoError(t, err)
	return n
}

const listening = `datname = current_database() and application_name = 'pgdbm' and pid <> pg_backend_pid()
	and (query ilike 'listen %' or query = '-- ping')`

func TestListen(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{MaxConns: 1}), "app")
	e := hearing(t, m, "placed", "paid")
	for i := range 1000 {
		notify(t, m, "placed", fmt.Sprint(i))
	}
	notify(t, m, "paid", "")
	notify(t, m, "unheard", "x")
	notify(t, m, "paid", strings.Repeat("é", 3999))
	for i := range 1000 {
		e.wants("placed", fmt.Sprint(i))
	}
	e.wants("paid", "")
	e.wants("paid", strings.Repeat("é", 3999))
	if s := m.Stat(); s.AcquiredConns() != 0 { // all but the listener's are the pool's
		t.Errorf("%d connections are in use", s.AcquiredConns())
	}
	e.end()
	testkit.Eventually(t, "the connection is open", func() bool { return listeners(t, m) == 0 })
}

func TestNotifyInTx(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{}), "app")
	e := hearing(t, m, "placed")
	rolledBack := errors.New("rolled back")
	for _, end := range []error{rolledBack, nil} {
		err := m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
			notify(t, tx, "placed", fmt.Sprint(end))
			notify(t, tx, "placed", fmt.Sprint(end)) // once
			return end
		})
		if !errors.Is(err, end) {
			t.Error(err)
		}
	}
	notify(t, m, "placed", "last")
	e.wants("placed", "<nil>")
	e.wants("placed", "last")
}

// Channels belong to schemas, as tables do.
func TestChannelsOfSchemas(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{})
	orders := bind(t, pool, "orders")
	other := bind(t, pool, "other")
	none := bind(t, pool, "")
	mail, err := pool.Bind(pgdbm.Binding{Module: "mail", Schema: "Mail", Modules: map[string]string{"shop": "orders"}})
	testkit.NoError(t, err)

	inOrders, inMail := hearing(t, orders, "placed"), hearing(t, mail, "sent", "shop.placed")
	outside := hearing(t, none, "placed", `odd "name"; here`, "Mail.sent")
	literal := hearing(t, other, "orders.placed")
	for _, db := range []*pgdbm.Manager{none, other, orders} {
		notify(t, db, "placed", "by "+db.Schema())
	}
	notify(t, none, `odd "name"; here`, "odd")
	notify(t, mail, "sent", "mail")
	exec(t, none, "select pg_notify('orders.placed', 'by a trigger')")

	outside.wants("placed", "by ")
	outside.wants(`odd "name"; here`, "odd")
	outside.wants("Mail.sent", "mail")
	inMail.wants("shop.placed", "by orders")
	inMail.wants("sent", "mail")
	inMail.wants("shop.placed", "by a trigger")
	inOrders.wants("placed", "by orders")
	inOrders.wants("placed", "by a trigger")
	literal.wants("orders.placed", "by orders")
}

func TestListenMistakes(t *testing.T) {
	t.Parallel()
	pool := offline(t)
	bound, err := pool.Manager("app")
	testkit.NoError(t, err)
	long, err := pool.Manager(strings.Repeat("s", 60))
	testkit.NoError(t, err)
	none, err := pool.Manager("")
	testkit.NoError(t, err)
	mail, err := pool.Bind(pgdbm.Binding{Module: "mail", Schema: "mail", Modules: map[string]string{"orders": "o"}})
	testkit.NoError(t, err)
	for _, c := range []struct {
		m        *pgdbm.Manager
		channels []string
		want     []string
	}{
		{bound, nil, []string{"pgdbm: Listen: name a channel"}},
		{bound, []string{"a-b", "1"}, []string{`channel "a-b": a name is a letter or _`, `channel "1": a name`}}, // all at once
		{bound, []string{"a.b.c"}, []string{`channel "a.b.c": a name is`}},
		{bound, []string{""}, []string{`channel "": a name is`}},
		{bound, []string{"a", "app.a"}, []string{`channels "a" and "app.a" are one`}},
		{long, []string{"abcd"}, []string{`channel "abcd": the server's name "` + strings.Repeat("s", 60) + `.abcd" has 65 bytes, of which 1 to 63 are possible`}},
		{none, []string{""}, []string{`has 0 bytes`}},
		{none, []string{"a\x00"}, []string{`channel "a\x00"`}},
		{none, []string{strings.Repeat("x", 64)}, []string{`has 64 bytes`}},
		{mail, []string{"stock.low"}, []string{`pgdbm: Listen: channel "stock.low": module "mail" does not depend on "stock" (it declares orders); add it to DependsOn`}},
		{mail, []string{"order.placed"}, []string{"did you mean orders.placed?"}},
	} {
		calls := 0
		for n, err := range c.m.Listen(t.Context(), c.channels...) {
			calls++
			testkit.ErrorContains(t, err, c.want...)
			if n != (pgdbm.Notification{}) {
				t.Errorf("%q: %+v", c.channels, n)
			}
		}
		if calls != 1 {
			t.Errorf("%q: %d errors", c.channels, calls)
		}
	}
	for _, c := range []struct {
		m                      *pgdbm.Manager
		channel, payload, want string
	}{
		{bound, "a b", "", `pgdbm: Notify: channel "a b": a name is`},
		{bound, "orders.placed", "", `pgdbm: Notify: channel "orders.placed": notify on a channel of the bound schema, without a dot`},
		{none, "", "", `pgdbm: Notify: channel "": the server's name`},
		{bound, "a", strings.Repeat("x", 8000), "pgdbm: Notify: invalid value; the payload has 8000 bytes, of which 7999 fit; store it and send its key"},
	} {
		err := pgdbm.Notify(t.Context(), c.m, c.channel, c.payload)
		testkit.ErrorContains(t, err, c.want)
		if errors.Is(err, pgdbm.ErrInvalid) != (c.payload != "") {
			t.Errorf("%s: %v", c.channel, err)
		}
	}
}

// However the loop ends, its connection is closed and the pool as it was.
func TestListenEnds(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{MaxConns: 1}), "app")
	gone := func(how string) {
		t.Helper()
		testkit.Eventually(t, how+": the connection is open", func() bool { return listeners(t, m) == 0 })
	}
	for n, err := range m.Listen(t.Context(), "a") {
		testkit.NoError(t, err)
		if n.Missed {
			notify(t, m, "a", "b") // the pool is free in the loop
			continue
		}
		testkit.Equal(t, n.Payload, "b")
		break
	}
	gone("break")

	func() {
		defer func() { _ = recover() }()
		for _, err := range m.Listen(t.Context(), "a") {
			testkit.NoError(t, err)
			panic("stop")
		}
	}()
	gone("panic")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	calls := 0
	for n, err := range m.Listen(ctx, "a") {
		if calls++; err != nil || !n.Missed {
			t.Errorf("%+v, %v", n, err)
		}
		cancel()
	}
	testkit.Equal(t, calls, 1) // the end of ctx is no error
	gone("cancel")
	for n, err := range m.Listen(ctx, "a") {
		t.Errorf("after cancel: %+v, %v", n, err)
	}

	waiting := hearing(t, m, "a")
	waiting.end() // while it waits
	gone("cancel while it waits")
}

func TestListenEndsWithThePool(t *testing.T) {
	t.Parallel()
	owned, err := pgdbm.Open(t.Context(), pgdbm.Config{ConnString: testkit.ConnString(t)})
	testkit.NoError(t, err)
	raw, err := pgxpool.New(t.Context(), testkit.ConnString(t))
	testkit.NoError(t, err)
	defer raw.Close()
	borrowed, err := pgdbm.Borrow(raw, pgdbm.Config{})
	testkit.NoError(t, err)
	for _, pool := range []*pgdbm.Pool{owned, borrowed} {
		m := bind(t, pool, "")
		e := hearing(t, m, "a")
		notify(t, m, "a", "b")
		e.wants("a", "b")
		testkit.NoError(t, pool.Close(t.Context()))
		h := e.next()
		testkit.ErrorIs(t, h.err, pgdbm.ErrUnavailable)
		testkit.ErrorContains(t, h.err, "pgdbm: Listen: server unavailable; the pool is closed")
		<-e.over
		for _, err := range m.Listen(t.Context(), "a") {
			testkit.ErrorContains(t, err, "the pool is closed")
		}
	}
}

// Who is slow hears everything, in order, when there is time.
func TestListenSlowly(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{}), "app")
	const count = 3000
	payload := strings.Repeat("x", 2000) // more than fits into the buffers on the way
	got := 0
	for n, err := range m.Listen(t.Context(), "a") {
		testkit.NoError(t, err)
		if n.Missed {
			exec(t, m, "select pg_notify('app.a', g || $1) from generate_series(0, $2 - 1) g", payload, count)
			exec(t, m, "select pg_notify('app.a', 'last')")
			continue
		}
		if got == count {
			testkit.Equal(t, n.Payload, "last")
			break
		}
		if want := fmt.Sprint(got) + payload; n.Payload != want {
			t.Fatalf("got %.10s, want %.10s", n.Payload, want)
		}
		got++
	}
}
