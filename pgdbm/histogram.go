package pgdbm

import (
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// durationBounds are the upper bounds of the buckets of every [Histogram]: from
// a point read on the same machine to the default StatementTimeout.
var durationBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, time.Minute,
}

// Histogram is a distribution of durations in fixed buckets: 100 µs, 250 µs,
// 500 µs, and so on in these steps to 10 s, then 30 s and 1 min. All histograms
// have the same buckets, so they can be added up.
type Histogram struct {
	Bounds []time.Duration // upper bounds, inclusive, ascending
	Counts []int64         // of each bucket by itself; one more than Bounds, for what is longer
	Sum    time.Duration
}

// Count returns the number of durations.
func (h Histogram) Count() int64 {
	var n int64
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Quantile estimates the duration below which the share q of all durations lies,
// such as 0.99, by interpolation in its bucket; what is longer than the last
// bound counts as that bound. It returns 0 when there are no durations, or when q
// is not between 0 and 1.
func (h Histogram) Quantile(q float64) time.Duration {
	total := h.Count()
	if total == 0 || math.IsNaN(q) || q < 0 || q > 1 {
		return 0
	}
	rank := q * float64(total)
	var below float64
	for i, bound := range h.Bounds {
		n := float64(h.Counts[i])
		if n > 0 && below+n >= rank {
			var lower time.Duration
			if i > 0 {
				lower = h.Bounds[i-1]
			}
			return lower + time.Duration(float64(bound-lower)*(rank-below)/n)
		}
		below += n
	}
	return h.Bounds[len(h.Bounds)-1]
}

// Add returns the durations of both.
func (h Histogram) Add(other Histogram) Histogram {
	if len(h.Counts) == 0 {
		return other
	}
	sum := Histogram{Bounds: h.Bounds, Counts: slices.Clone(h.Counts), Sum: h.Sum + other.Sum}
	for i, n := range other.Counts {
		sum.Counts[i] += n
	}
	return sum
}

// durations counts into a Histogram; it is safe for concurrent use.
type durations struct {
	counts [len(durationBounds) + 1]atomic.Int64
	sum    atomic.Int64
}

func (d *durations) observe(dur time.Duration) {
	i := 0
	for i < len(durationBounds) && dur > durationBounds[i] {
		i++
	}
	d.counts[i].Add(1)
	d.sum.Add(int64(dur))
}

func (d *durations) snapshot() Histogram {
	h := Histogram{Bounds: slices.Clone(durationBounds[:]), Counts: make([]int64, len(d.counts)), Sum: time.Duration(d.sum.Load())}
	for i := range d.counts {
		h.Counts[i] = d.counts[i].Load()
	}
	return h
}
