package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// report writes three tables: wall time and CPU time as ratios to hand-written
// pgx, and allocations.
func report(out io.Writer, results []result, libraries []Library, where string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s.\nMedians of the ratios in each round.\n", where)
	head := func(title, first string) {
		fmt.Fprintf(&b, "\n| %s | %s |", title, first)
		for _, l := range libraries[1:] {
			fmt.Fprintf(&b, " %s |", l.Name())
		}
		fmt.Fprintf(&b, "\n|---|%s\n", strings.Repeat("--:|", len(libraries)))
	}
	row := func(name, first, format string, values []float64) {
		fmt.Fprintf(&b, "| %s | %s |", name, first)
		for _, v := range values[1:] {
			fmt.Fprintf(&b, " "+format+" |", v)
		}
		b.WriteByte('\n')
	}
	head("wall × pgx", "pgx")
	for _, r := range results {
		row(r.name, short(r.took[0]), "%.2f", r.wall)
	}
	head("client CPU × pgx", "pgx")
	for _, r := range results {
		row(r.name, "1", "%.2f", r.cpu)
	}
	head("allocations", "pgx")
	for _, r := range results {
		row(r.name, fmt.Sprintf("%.0f", r.allocs[0]), "%.0f", r.allocs)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func short(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.0f µs", float64(d)/1000)
	}
	return fmt.Sprintf("%.0f ms", float64(d)/1e6)
}
