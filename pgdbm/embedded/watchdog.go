package embedded

import (
	"fmt"
	"time"
)

const watchdogName = "pgdbm watchdog"

// watchdog returns the statement that ends the server once it is not needed any
// more. owned servers are needed while a lease is held, others while they have
// any client, or had one between two looks. The lease lock is taken before the
// end and kept until it comes, so that nobody joins a server that is about to go.
func watchdog(idle time.Duration, owned, standby bool) string {
	needed := "SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> '" + watchdogName + "'"
	counter, signal := "SELECT sum(sessions) FROM pg_stat_database", "INT"
	if owned {
		needed = fmt.Sprintf("SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid() "+
			"AND classid = %d AND objid = %d AND objsubid = 2", lockSpace, lockLease)
		counter, signal = "SELECT 0", "QUIT" // its data are thrown away, and a checkpoint may take long
	}
	onDuty := "IF NOT pg_try_advisory_lock(%[1]d, %[2]d) THEN RETURN; END IF"
	if standby {
		onDuty = "PERFORM pg_advisory_lock(%[1]d, %[2]d)"
	}
	return fmt.Sprintf(`DO $watchdog$
DECLARE
  postmaster text := split_part(pg_read_file('postmaster.pid'), E'\n', 1); -- now, while the file is there
  needed timestamptz := clock_timestamp();
  before numeric;
  counter numeric;
BEGIN
  `+onDuty+`;
  LOOP
    PERFORM pg_sleep(0.5);
    COMMIT; -- so that the next look at the sessions is a new one
    counter := (%[5]s);
    IF counter IS DISTINCT FROM before OR EXISTS (%[4]s) THEN
      needed := clock_timestamp();
    ELSIF clock_timestamp() - needed >= interval '%[6]d milliseconds' AND pg_try_advisory_lock(%[1]d, %[3]d) THEN
      EXECUTE format('COPY (SELECT 1) TO PROGRAM %%L', 'kill -%[7]s ' || postmaster);
      PERFORM pg_sleep(30);
      PERFORM pg_advisory_unlock(%[1]d, %[3]d);
    END IF;
    before := counter;
  END LOOP;
END
$watchdog$`, lockSpace, lockWatchdog, lockLease, needed, counter, idle.Milliseconds(), signal)
}
