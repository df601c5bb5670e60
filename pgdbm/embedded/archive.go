package embedded

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// archiveVersions are the versions whose archives the library knows.
var archiveVersions = []string{
	string(embeddedpostgres.V14), string(embeddedpostgres.V15), string(embeddedpostgres.V16),
	string(embeddedpostgres.V17), string(embeddedpostgres.V18),
}

const maxArchive = 256 << 20

// fetchArchive downloads and unpacks with the embedded-postgres library, which
// knows the archives' names and formats. It is used for nothing else: it cannot
// run as root, nor in two processes, nor with other binaries.
func fetchArchive(ctx context.Context, dir string, major int) error {
	upstream, err := repository()
	if err != nil {
		return err
	}
	return fetchArchiveFrom(ctx, upstream, dir, major)
}

// repository returns the library's default repository, for which it has no getter.
func repository() (string, error) {
	url := reflect.ValueOf(embeddedpostgres.DefaultConfig()).FieldByName("binaryRepositoryURL")
	if url.Kind() != reflect.String || !strings.HasPrefix(url.String(), "https://") {
		return "", errors.New("the embedded-postgres library does not say where its archives are")
	}
	return url.String(), nil
}

func fetchArchiveFrom(ctx context.Context, upstream, dir string, major int) error {
	version, ok := newest(archiveVersions, major)
	if !ok {
		return fmt.Errorf("has no PostgreSQL %d", major)
	}
	m, err := newMirror(ctx, upstream)
	if err != nil {
		return err
	}
	defer m.close()
	tree := filepath.Join(dir, "pg")
	for range 5 { // the library wants a free port, which may be taken before it looks
		var port int
		if port, err = freePort(ctx); err != nil {
			return err
		}
		library := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
			Version(embeddedpostgres.PostgresVersion(version)).
			BinaryRepositoryURL(m.url).
			CachePath(filepath.Join(dir, "archive")).
			RuntimePath(tree).
			// Start first downloads and unpacks, then clears the data directory,
			// and fails there, for "." cannot be removed: it never starts anything.
			DataPath(tree + "/.").
			Port(uint32(port)).
			Logger(io.Discard))
		err = library.Start()
		removeLog(library)
		if err == nil || !strings.Contains(err.Error(), "already listening") {
			break
		}
	}
	if err := m.failure(); err != nil {
		return err
	}
	if _, statErr := os.Stat(filepath.Join(tree, "bin", "postgres")); statErr != nil {
		return err
	}
	return nil
}

// removeLog closes and removes the file that the library makes for the log of a
// server, in the directory for temporary files, and forgets.
func removeLog(library *embeddedpostgres.EmbeddedPostgres) {
	logger := reflect.ValueOf(library).Elem().FieldByName("syncedLogger")
	if logger.Kind() != reflect.Pointer || logger.IsNil() {
		return
	}
	file := logger.Elem().FieldByName("file")
	if !file.IsValid() || file.Type() != reflect.TypeFor[*os.File]() || file.IsNil() {
		return
	}
	f := (*os.File)(file.UnsafePointer())
	_ = f.Close() // only space is lost
	_ = os.Remove(f.Name())
}

// mirror stands between the library and the repository and hands on only what
// has the right checksum. The library itself accepts an archive without one.
type mirror struct {
	url      string
	upstream string
	client   *http.Client
	server   *http.Server

	mu  sync.Mutex
	err error
}

func newMirror(ctx context.Context, upstream string) (*mirror, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &mirror{url: "http://" + l.Addr().String(), upstream: upstream}
	m.client = &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
	}}
	m.server = &http.Server{
		Handler:           m,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	go m.server.Serve(l) //nolint:errcheck // it ends with close
	return m, nil
}

func (m *mirror) close() {
	_ = m.server.Close()
	m.client.CloseIdleConnections()
}

// failure returns what went wrong; the library's own errors do not say.
func (m *mirror) failure() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// ServeHTTP answers the library's requests for an archive and its checksum.
func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	archive := strings.TrimSuffix(r.URL.Path, ".sha256")
	sum, err := m.get(r.Context(), archive+".sha256", 1<<10)
	body := sum
	if err == nil && archive == r.URL.Path {
		if body, err = m.get(r.Context(), archive, maxArchive); err == nil {
			err = verify(body, string(sum))
		}
	}
	if err != nil {
		m.mu.Lock()
		m.err = errors.Join(m.err, err)
		m.mu.Unlock()
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	_, _ = w.Write(body) // the library notices
}

func (m *mirror) get(ctx context.Context, path string, most int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.upstream+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := m.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", req.URL, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err == nil && int64(len(body)) > most {
		err = fmt.Errorf("%s is larger than %d bytes", req.URL, most)
	}
	return body, err
}

// verify compares an archive with its published checksum, which may be followed
// by a file name.
func verify(body []byte, published string) error {
	sum := sha256.Sum256(body)
	fields := strings.Fields(published)
	if len(fields) == 0 || !strings.EqualFold(fields[0], hex.EncodeToString(sum[:])) {
		return errors.New("the archive does not have its published checksum")
	}
	return nil
}
