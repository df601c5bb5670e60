package pgdbm

// For tests of what a test cannot make a server say, or cannot see.
var (
	Committed = committed
	HungUp    = hungUp
	Pause     = fullJitter
)

// ClassifyWith is Classify for a statement with arguments.
func ClassifyWith(err error, args ...any) error { return classify(err, "", "select", args...) }
