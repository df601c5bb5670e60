// Package depsort orders what depends on each other.
package depsort

import "slices"

// Sort returns the nodes with what they depend on in front of them, otherwise in
// the order given. Every dependency must be among the nodes.
//
// Each cycle is returned as its path, which begins and ends with the same node;
// the order then means nothing.
func Sort[N comparable](nodes []N, dependencies func(N) []N) (order []N, cycles [][]N) {
	var (
		path   []N
		placed = map[N]bool{}
		visit  func(N)
	)
	visit = func(n N) {
		if placed[n] {
			return
		}
		if i := slices.Index(path, n); i >= 0 {
			cycles = append(cycles, append(slices.Clone(path[i:]), n))
			return
		}
		path = append(path, n)
		for _, dep := range dependencies(n) {
			visit(dep)
		}
		path = path[:len(path)-1]
		placed[n] = true
		order = append(order, n)
	}
	for _, n := range nodes {
		visit(n)
	}
	return order, cycles
}
