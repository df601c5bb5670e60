package repo

// Renumber returns a fragment as it stands behind that many arguments, and how
// many it has itself.
func Renumber(text string, before int) (string, int, error) {
	f, err := parseFragment(text)
	if err != nil {
		return "", 0, err
	}
	w := &statement{args: make([]any, before)}
	f.write(w, make([]any, f.count))
	return string(w.shape), len(w.args) - before, nil
}

// Statement returns what All sends.
func Statement[T any](q Query[T]) (string, []any, error) { return q.selection("All", q.limit) }
