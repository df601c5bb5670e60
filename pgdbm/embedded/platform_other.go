//go:build !linux && !darwin

package embedded

import (
	"errors"
	"os"
	"syscall"
)

const supported = false

func asSelf() *syscall.SysProcAttr           { return nil }
func asUser(_, _ int) *syscall.SysProcAttr   { return nil }
func asMapped(_, _ int) *syscall.SysProcAttr { return nil }
func bootID() string                         { return "" }
func worksIn(int, string) (yes, known bool)  { return false, false }
func endWorkers(string)                      {}
func tryLock(*os.File) (bool, error)         { return false, errors.ErrUnsupported }
func owner(os.FileInfo) (uid, gid int)       { return -1, -1 }
func freeBytes(string) (uint64, error)       { return 0, errors.ErrUnsupported }
func running(int) bool                       { return false }
