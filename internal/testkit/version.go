package testkit

import (
	"fmt"
	"strconv"
)

// checkVersion refuses a server that was named and is not of the version that
// was asked for: a run on several versions would prove nothing. The embedded
// server goes by the variable itself.
func (k *kit) checkVersion() error {
	wanted, major := k.env.get("PGDBM_PG_VERSION"), strconv.Itoa(k.version/10000)
	if k.server.embedded != nil || wanted == "" || wanted == major {
		return nil
	}
	return fmt.Errorf("pgdbmtest: PGDBM_PG_VERSION=%s, but the tests run on %s: unset one of the two, "+
		"or name a server of that version", wanted, k.server.about)
}
