//go:build !linux

package testkit

import (
	"errors"
	"syscall"
)

const clustersSupported = false // processes cannot be found and stopped

func asUser(_, _ int) *syscall.SysProcAttr     { return nil }
func ownerOf(string) (uid, gid int, err error) { return 0, 0, errors.ErrUnsupported }
func freeze(int) ([]int, error)                { return nil, errors.ErrUnsupported }
func thaw([]int) error                         { return errors.ErrUnsupported }
func killFamily(int) error                     { return errors.ErrUnsupported }
func family(int) ([]int, error)                { return nil, errors.ErrUnsupported }
func worksIn(int, string) bool                 { return false }
func interrupt(int) error                      { return errors.ErrUnsupported }
func quit(int) error                           { return errors.ErrUnsupported }
