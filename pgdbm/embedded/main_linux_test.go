package embedded_test

import (
	"fmt"
	"os"
	"syscall"

	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

// tell says where a server would live, after a small file system was mounted
// where it is told to.
func tell(cfg embedded.Config, where string) error {
	if where == "small" {
		if err := syscall.Mount("none", cfg.Dir, "tmpfs", 0, "size=8m,mode=711"); err != nil {
			return err
		}
	}
	dir, err := embedded.StateDir(cfg)
	if err == nil {
		_, err = fmt.Fprintln(os.Stdout, dir)
	}
	return err
}
