package pgdbm

// ClassifyWith is Classify for a statement with arguments.
func ClassifyWith(err error, args ...any) error { return classify(err, "", "select", args...) }
