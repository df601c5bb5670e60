package doctest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Compile compiles packages as parts of the module in moduleDir, without
// writing to it: their files lie in tmp and reach the compiler as an overlay.
// An error has a line for every mistake, with its place in the document.
func Compile(ctx context.Context, moduleDir, tmp string, packages []Package) error {
	if len(packages) == 0 {
		return nil
	}
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	// All mistakes, not the first ten; nothing is kept of what is built.
	args := []string{"build", "-gcflags=-e", "-o", os.DevNull, "-overlay", filepath.Join(tmp, "overlay.json")}

	for _, p := range packages {
		args = append(args, "./"+p.Dir)
		for name, text := range p.Files {
			real := filepath.Join(tmp, filepath.FromSlash(p.Dir), filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(real), 0o750); err != nil {
				return err
			}
			if err := os.WriteFile(real, []byte(text), 0o600); err != nil {
				return err
			}
			overlay.Replace[filepath.Join(moduleDir, filepath.FromSlash(p.Dir), filepath.FromSlash(name))] = real
		}
	}
	replace, err := json.Marshal(overlay)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, "overlay.json"), replace, 0o600); err != nil {
		return err
	}

	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // folders named by Packages
	cmd.Dir = moduleDir
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	// Where //line names a file, some of go build's messages place it in the package.
	text := string(out)
	for _, p := range packages {
		text = strings.ReplaceAll(text, p.Dir+"/", "")
	}
	var mistakes []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\n"); !strings.HasPrefix(line, "# ") {
			mistakes = append(mistakes, line)
		}
	}
	if len(mistakes) == 0 {
		return fmt.Errorf("go build: %w", err)
	}
	return errors.New(strings.Join(mistakes, "\n"))
}
