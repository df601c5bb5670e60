//go:build !linux

package embedded_test

import (
	"errors"

	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

func tell(embedded.Config, string) error { return errors.ErrUnsupported }
