package migrations

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
)

// directives is what the head of a file asks for.
type directives struct {
	noTransaction    bool
	lockTimeout      *time.Duration // nil: the configured one
	statementTimeout *time.Duration
	outOfOrder       bool
	restart          bool // on-retry restart
	exclusive        bool
	checkpoint       *span // what the file stands for; nil: it is no checkpoint
	checkpointAt     int   // where that is said
	ignore           []ignored
}

// ignored is a lint-ignore directive.
type ignored struct {
	rule   string
	offset int
}

func (d *directives) ignores(rule string) bool {
	return slices.ContainsFunc(d.ignore, func(i ignored) bool { return i.rule == rule })
}

// directivePrefix marks a line comment as a directive.
const directivePrefix = "pgdbm:"

// directiveForms are the directives that exist, as messages show them.
var directiveForms = []string{
	"no-transaction", "lock-timeout 2s", "statement-timeout 10m", "out-of-order",
	"on-retry resume|restart", "exclusive database", "checkpoint 1-40", "lint-ignore rule reason",
}

// parseDirectives reads the directives of a file; problem is called with the
// byte offset of each one that is wrong.
func parseDirectives(text string, problem func(offset int, message, hint string)) directives {
	var (
		d    directives
		seen = map[string]bool{}
		head = true
	)
	for t := range sqllex.Tokens(text) {
		head = head && t.Trivia()
		if t.Kind != sqllex.LineComment {
			continue
		}
		body, ok := strings.CutPrefix(strings.TrimLeft(t.Text[len("--"):], " \t"), directivePrefix)
		if !ok {
			continue
		}
		if !head {
			problem(t.Offset, "a directive stands behind the first statement", "move it to the head of the file")
			continue
		}
		name, args, _ := strings.Cut(strings.TrimSpace(body), " ")
		if seen[name] && name != "lint-ignore" {
			problem(t.Offset, fmt.Sprintf("the directive %s appears twice", name), "")
			continue
		}
		seen[name] = true
		if message, hint := d.set(name, strings.TrimSpace(args), t.Offset); message != "" {
			problem(t.Offset, message, hint)
		}
	}
	if d.restart && !d.noTransaction {
		problem(0, "the directive on-retry is for no-transaction files", "a transactional file that fails leaves nothing behind and always starts over")
	}
	return d
}

func (d *directives) set(name, args string, offset int) (message, hint string) {
	want := func(form string) (string, string) {
		return fmt.Sprintf("the directive %s cannot be %q", name, args), "write: -- " + directivePrefix + form
	}
	switch name {
	case "no-transaction", "out-of-order":
		if args != "" {
			return want(name)
		}
		d.noTransaction = d.noTransaction || name == "no-transaction"
		d.outOfOrder = d.outOfOrder || name == "out-of-order"
	case "lock-timeout", "statement-timeout":
		timeout, err := time.ParseDuration(args)
		if args == "0" {
			timeout, err = 0, nil
		}
		if err != nil || timeout < 0 || timeout > 0 && timeout < time.Millisecond {
			return want(name + " 2s")
		}
		if name == "lock-timeout" {
			d.lockTimeout = &timeout
		} else {
			d.statementTimeout = &timeout
		}
	case "on-retry":
		if args != "resume" && args != "restart" {
			return want("on-retry resume|restart")
		}
		d.restart = args == "restart"
	case "exclusive":
		if args != "database" {
			return want("exclusive database")
		}
		d.exclusive = true
	case "checkpoint":
		s, ok := parseSpan(args)
		if !ok {
			return want("checkpoint 1-40")
		}
		d.checkpoint, d.checkpointAt = &s, offset
	case "lint-ignore":
		rule, reason, _ := strings.Cut(args, " ")
		if rule == "" || strings.TrimSpace(reason) == "" {
			return fmt.Sprintf("the directive lint-ignore needs a rule and a reason, not %q", args), "write: -- pgdbm:lint-ignore rule why it is right here"
		}
		d.ignore = append(d.ignore, ignored{rule: rule, offset: offset})
	default:
		return fmt.Sprintf("the directive %q does not exist", name), "have " + strings.Join(directiveForms, " · ")
	}
	return "", ""
}
