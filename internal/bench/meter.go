package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// meter runs the operations: in every round each library does each of them, in
// changing order.
type meter struct {
	table     *table
	libraries []Library
	tapes     map[Library]*tape // nil: nothing is between the libraries and the server
	replays   bool
	rounds    int
}

// sample is what one library took for one operation in one round.
type sample struct {
	wall, cpu time.Duration
	allocs    uint64
	times     int
}

// result are the medians of an operation by library, in the order of the meter.
type result struct {
	name   string
	wall   []float64 // ratios to the first library of the same round
	cpu    []float64
	allocs []float64 // of one operation
	took   []time.Duration
}

func (m *meter) all(ctx context.Context, wanted *regexp.Regexp) ([]result, error) {
	var results []result
	for _, op := range operations {
		if !wanted.MatchString(op.name) || m.replays && !op.replays {
			continue
		}
		r, err := m.one(ctx, op)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", op.name, err)
		}
		results = append(results, r)
		fmt.Fprintf(os.Stderr, "%s: %.2f\n", op.name, r.wall)
	}
	return results, nil
}

func (m *meter) one(ctx context.Context, op operation) (result, error) {
	samples := make([][]sample, len(m.libraries))
	for round := range m.rounds + 1 { // the first one warms up
		for turn := range m.libraries {
			i := (turn + round) % len(m.libraries)
			s, err := m.turn(ctx, m.libraries[i], op)
			if err != nil {
				return result{}, fmt.Errorf("%s: %w", m.libraries[i].Name(), err)
			}
			if round > 0 {
				samples[i] = append(samples[i], s)
			}
		}
	}
	r := result{name: op.name}
	for i := range m.libraries {
		r.wall = append(r.wall, median(samples[i], func(n int, s sample) float64 { return float64(s.wall) / float64(samples[0][n].wall) }))
		r.cpu = append(r.cpu, median(samples[i], func(n int, s sample) float64 { return float64(s.cpu) / float64(samples[0][n].cpu) }))
		r.allocs = append(r.allocs, median(samples[i], func(_ int, s sample) float64 { return float64(s.allocs) / float64(s.times) }))
		r.took = append(r.took, time.Duration(median(samples[i], func(_ int, s sample) float64 { return float64(s.wall) / float64(s.times) })))
	}
	return r, nil
}

// turn measures one library doing an operation many times.
func (m *meter) turn(ctx context.Context, l Library, op operation) (s sample, err error) {
	if m.replays {
		s, err = m.replay(ctx, l, op, m.tapes[l])
	} else {
		s, err = m.steady(ctx, l, op)
	}
	if err != nil {
		return s, err
	}
	return s, m.table.reset(ctx)
}

// steady measures an operation after the first few times, for which the server plans
// anew what the turn before has changed.
func (m *meter) steady(ctx context.Context, l Library, op operation) (s sample, err error) {
	warm := op.times / 10
	do, err := op.prepare(ctx, m.table, l, warm+op.times)
	if err != nil {
		return s, err
	}
	runtime.GC() // each pays for its own garbage
	for i := range warm {
		if err := do(i); err != nil {
			return s, err
		}
	}
	return repeat(op.times, func(i int) error { return do(warm + i) })
}

// repeat measures something that is done many times.
func repeat(times int, do func(i int) error) (s sample, err error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, start := cpuTime(), time.Now()
	for i := range times {
		if err := do(i); err != nil {
			return s, err
		}
	}
	s.wall, s.cpu, s.times = time.Since(start), cpuTime()-cpu, times
	runtime.ReadMemStats(&after)
	s.allocs = after.Mallocs - before.Mallocs
	return s, nil
}

// cpuTime is what this process has used; the server is another one.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func median(samples []sample, of func(int, sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(i, s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
