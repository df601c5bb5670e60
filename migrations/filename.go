package migrations

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// filename is what a file's name says.
type filename struct {
	version int64 // 0: repeatable
	name    string
	down    bool
}

var (
	versioned  = regexp.MustCompile(`^(\d+)_(.+?)(\.up|\.down)?\.sql$`)
	dateTime   = regexp.MustCompile(`^(\d{8})_(\d{6})_(.+?)(\.up|\.down)?\.sql$`)
	flyway     = regexp.MustCompile(`^V(\d+)__(.+)\.sql$`)
	repeatable = regexp.MustCompile(`^R__?([^_].*)\.sql$`)
)

// parseFilename understands the accepted forms of *.sql names.
func parseFilename(base string) (filename, error) {
	var f filename
	var digits string
	if m := dateTime.FindStringSubmatch(base); m != nil {
		digits, f.name, f.down = m[1]+m[2], m[3], m[4] == ".down"
	} else if m := versioned.FindStringSubmatch(base); m != nil {
		digits, f.name, f.down = m[1], m[2], m[3] == ".down"
	} else if m := flyway.FindStringSubmatch(base); m != nil {
		digits, f.name = m[1], m[2]
	} else if m := repeatable.FindStringSubmatch(base); m != nil && !strings.HasSuffix(m[1], ".down") {
		f.name = m[1]
		return f, nil
	} else {
		return f, errors.New("the name has none of the accepted forms: 0042_name.sql, 20250102150405_name.sql, 0042_name.down.sql, R_name.sql")
	}
	var err error
	if f.version, err = strconv.ParseInt(digits, 10, 64); err != nil {
		return f, fmt.Errorf("the version %s does not fit into 64 bits", digits)
	}
	if f.version == 0 {
		return f, errors.New("versions begin at 1")
	}
	return f, nil
}
