package testkit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

// clusterSettings are those of both nodes.
var clusterSettings = map[string]string{
	"fsync":                        "off", // the nodes die, the machine does not
	"shared_buffers":               "16MB",
	"max_connections":              "100",
	"autovacuum":                   "off",
	"wal_keep_size":                "64MB",
	"hot_standby":                  "on",
	"wal_receiver_status_interval": "1s",
	"wal_retrieve_retry_interval":  "100ms",
}

// Cluster is a primary and a streaming standby, which a test may kill, freeze
// and promote. It ends with the test, even with one that is killed.
type Cluster struct {
	Primary, Standby *Node // as they were at the start

	user, password string
	servers        []*embedded.Server
}

// StartCluster starts a cluster. Replication is asynchronous until
// [Cluster.SetSynchronous]. Each node listens on a loopback address of its own,
// with a random password.
func StartCluster(tb TB) *Cluster {
	tb.Helper()
	if !clustersSupported {
		tb.Skipf("starting a cluster needs /proc and the loopback addresses of Linux")
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	c := &Cluster{user: "postgres", password: rand.Text()}
	tb.Cleanup(func() {
		if err := c.close(); err != nil {
			tb.Errorf("testkit: cluster: %v", err)
		}
	})
	err := c.startPrimary(ctx)
	if err == nil {
		err = c.startStandby(ctx)
	}
	if errors.Is(err, embedded.ErrNoBinaries) {
		tb.Skipf("%v", err)
		return nil
	}
	if err != nil {
		tb.Fatalf("testkit: cluster: %v", err)
		return nil
	}
	return c
}

func (c *Cluster) start(ctx context.Context, dataDir string, more map[string]string) (*Node, error) {
	settings := map[string]string{"listen_addresses": loopback()}
	maps.Copy(settings, clusterSettings)
	maps.Copy(settings, more)
	srv, err := embedded.Start(ctx, embedded.Config{Private: true, DataDir: dataDir, Settings: settings})
	if err != nil {
		return nil, err
	}
	c.servers = append(c.servers, srv)
	n := &Node{cluster: c, socket: srv.ConnString("postgres"), host: settings["listen_addresses"], log: srv.Log()}
	conn, err := n.admin(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	if err := conn.QueryRow(ctx, "show data_directory").Scan(&n.data); err != nil {
		return nil, err
	}
	return n, nil
}

// loopback returns an address that only this machine reaches, most likely for
// the first time.
func loopback() string {
	return fmt.Sprintf("127.%d.%d.%d", 1+mathrand.N(250), mathrand.N(250), 1+mathrand.N(250))
}

func (c *Cluster) startPrimary(ctx context.Context) (err error) {
	if c.Primary, err = c.start(ctx, "", nil); err != nil {
		return err
	}
	hba, err := os.OpenFile(filepath.Join(c.Primary.data, "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = hba.WriteString("\nhost all all 127.0.0.0/8 scram-sha-256\n")
	if err := errors.Join(err, hba.Close()); err != nil {
		return err
	}
	return c.Primary.exec(ctx, "alter role "+c.user+" password '"+c.password+"'", "select pg_reload_conf()")
}

// startStandby copies the primary, which needs no program that a minimal
// installation lacks, and starts the copy.
func (c *Cluster) startStandby(ctx context.Context) error {
	// Beside the primary's data, where whoever starts the next server cleans up
	// after a test that was killed.
	data := filepath.Join(filepath.Dir(c.Primary.data), "standby")
	if err := c.copyPrimary(ctx, data); err != nil {
		return err
	}
	var err error
	c.Standby, err = c.start(ctx, data, map[string]string{
		"primary_conninfo": "host=" + c.Primary.socketDir() + " port=5432 user=" + c.user + " application_name=standby",
	})
	if err != nil {
		return err
	}
	return c.Primary.until(ctx, "the standby streams", "select exists (select from pg_stat_replication where state = 'streaming')")
}

func (c *Cluster) copyPrimary(ctx context.Context, to string) error {
	conn, err := c.Primary.admin(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	begin, end := "select pg_backup_start('standby', true)", "select labelfile from pg_backup_stop(false)"
	var version int
	if err := conn.QueryRow(ctx, "select current_setting('server_version_num')::int").Scan(&version); err != nil {
		return err
	}
	if version < 150000 {
		begin, end = "select pg_start_backup('standby', true, false)", "select labelfile from pg_stop_backup(false, false)"
	}
	if _, err := conn.Exec(ctx, begin); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "cp", "-a", c.Primary.data, to).CombinedOutput(); err != nil {
		return fmt.Errorf("cp: %w\n%s", err, out)
	}
	var label string
	if err := conn.QueryRow(ctx, end).Scan(&label); err != nil {
		return err
	}
	wal, err := filepath.Glob(filepath.Join(to, "pg_wal", "0*"))
	if err != nil {
		return err
	}
	for _, path := range append(wal, filepath.Join(to, "postmaster.pid"), filepath.Join(to, "postmaster.opts")) {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	uid, gid, err := ownerOf(to)
	if err != nil {
		return err
	}
	for name, content := range map[string]string{"backup_label": label, "standby.signal": ""} {
		path := filepath.Join(to, name)
		if err := errors.Join(os.WriteFile(path, []byte(content), 0o600), os.Chown(path, uid, gid)); err != nil {
			return err
		}
	}
	return nil
}

// SetSynchronous makes each commit on the primary wait until the standby has
// it, or not. Without it a killed primary may take commits with it that it
// acknowledged.
func (c *Cluster) SetSynchronous(tb TB, on bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), nodeTimeout)
	defer cancel()
	sql, state := "alter system reset synchronous_standby_names", "async"
	if on {
		sql, state = "alter system set synchronous_standby_names to 'standby'", "sync"
	}
	err := c.Primary.exec(ctx, sql, "select pg_reload_conf()")
	if err == nil {
		err = c.Primary.until(ctx, "replication is "+state, "select exists (select from pg_stat_replication where sync_state = '"+state+"')")
	}
	if err != nil {
		tb.Fatalf("testkit: cluster: %v", err)
	}
}

// ConnString returns the address of whichever node takes writes.
func (c *Cluster) ConnString() string {
	return c.connString("target_session_attrs=read-write", c.Primary, c.Standby)
}

func (c *Cluster) connString(more string, nodes ...*Node) string {
	var hosts, ports []string
	for _, n := range nodes {
		hosts, ports = append(hosts, n.host), append(ports, "5432")
	}
	return fmt.Sprintf("host=%s port=%s user=%s password=%s dbname=postgres sslmode=disable %s",
		strings.Join(hosts, ","), strings.Join(ports, ","), c.user, c.password, more)
}

// close stops what is left.
func (c *Cluster) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	var errs []error
	for _, n := range []*Node{c.Standby, c.Primary} {
		if n != nil {
			errs = append(errs, n.end(ctx))
		}
	}
	for _, srv := range slices.Backward(c.servers) { // the primary's directory holds the standby's
		errs = append(errs, srv.Close(ctx))
	}
	return errors.Join(errs...)
}

const nodeTimeout = 30 * time.Second
