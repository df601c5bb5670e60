package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// env is everything that the environment says, read once per process.
type env struct {
	get      func(string) string
	patience time.Duration // with a named server that does not answer

	dir     string        // PGDBM_TEST_DIR: state directory of the embedded server
	idle    time.Duration // PGDBM_TEST_IDLE: how long it stays without a client
	keep    string        // PGDBM_TEST_KEEP: "", "failed" or "all"
	recycle bool          // PGDBM_TEST_RECYCLE=off: every test gets a new clone
	strict  bool          // PGDBM_TEST_STRICT=1: a leaked connection fails its test
	skip    bool          // PGDBM_TEST_SKIP=1: skip all tests that need a database
	verbose bool          // TEST_DB_VERBOSE: say which server and database, and why one was not recycled
	logSQL  bool          // TEST_DB_LOG_SQL: log statements, without arguments
}

func readEnv(get func(string) string) (env, error) {
	e := env{
		get: get, patience: 10 * time.Second,
		dir:     get("PGDBM_TEST_DIR"),
		keep:    get("PGDBM_TEST_KEEP"),
		recycle: get("PGDBM_TEST_RECYCLE") != "off",
		strict:  on(get("PGDBM_TEST_STRICT")),
		skip:    on(get("PGDBM_TEST_SKIP")),
		verbose: on(get("TEST_DB_VERBOSE")),
		logSQL:  on(get("TEST_DB_LOG_SQL")),
	}
	if idle := get("PGDBM_TEST_IDLE"); idle != "" {
		d, err := time.ParseDuration(idle)
		if err != nil || d < time.Second {
			return e, fmt.Errorf("pgdbmtest: PGDBM_TEST_IDLE=%s is not a duration of 1s or more", idle)
		}
		e.idle = d
	}
	if e.dir != "" && !filepath.IsAbs(e.dir) {
		return e, fmt.Errorf("pgdbmtest: PGDBM_TEST_DIR=%s is not an absolute path: packages run in different directories", e.dir)
	}
	switch e.keep {
	case "", "failed", "all":
	default:
		return e, fmt.Errorf("pgdbmtest: PGDBM_TEST_KEEP=%s is neither failed nor all", e.keep)
	}
	return e, nil
}

// on reads a switch: anything but "", 0, false, no and off turns it on.
func on(value string) bool {
	switch value {
	case "", "0", "false", "no", "off":
		return false
	}
	return true
}

func processEnv() (env, error) { return readEnv(os.Getenv) }
