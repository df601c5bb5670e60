package embedded

import (
	"fmt"
	"strconv"
)

// versionVariable names the major version for a whole run of tests.
const versionVariable = "PGDBM_PG_VERSION"

// wanted is a major version, 0 for any, and who asks for it.
type wanted struct {
	major    int
	variable string // of the environment; "" for the program itself
}

// wanted returns what the program asks for, else what the environment does.
func (f finder) wanted(major int) (wanted, error) {
	value := f.getenv(versionVariable)
	if major != 0 || value == "" {
		return wanted{major: major}, nil
	}
	major, err := strconv.Atoi(value)
	if err != nil {
		return wanted{}, fmt.Errorf("embedded: %s=%q is not a major version like 15", versionVariable, value)
	}
	if major < minVersion {
		return wanted{}, fmt.Errorf("embedded: %s=%s is too old: %d or newer", versionVariable, value, minVersion)
	}
	return wanted{major: major, variable: versionVariable}, nil
}

// String says what is wanted to a person.
func (w wanted) String() string {
	s := "PostgreSQL " + strconv.Itoa(w.major)
	if w.major == 0 {
		s = "PostgreSQL " + strconv.Itoa(minVersion) + " or newer"
	}
	if w.variable != "" {
		s += " (" + w.variable + ")"
	}
	return s
}

// missed returns the error of binaries that were named and are not what is wanted.
func (w wanted) missed(version string) error {
	if w.variable != "" {
		return fmt.Errorf("is PostgreSQL %s, but %s wants %d: unset one of the two", version, w.variable, w.major)
	}
	return fmt.Errorf("is PostgreSQL %s, wanted is %d", version, w.major)
}
