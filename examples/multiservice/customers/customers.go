// Package customers knows who buys. It is a module: its own schema, a store that
// works in main, in fx and in a test, and its endpoints.
package customers

import (
	"embed"
	"fmt"
	"regexp"

	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Module is the data of this service.
var Module = module.Module{Name: "customers", Migrations: module.Sub(migrations, "migrations")}

// Customer is somebody who buys.
type Customer struct {
	ID      string `db:"id,key" json:"id"` // a code that people use, such as ALFKI
	Company string `db:"company" json:"company"`
	Contact string `db:"contact" json:"contact"`
	City    string `db:"city" json:"city"`
	Country string `db:"country" json:"country"`
	Phone   string `db:"phone" json:"phone"`
}

var code = regexp.MustCompile(`^[A-Z0-9]{2,20}$`)

// validate returns an error of class [pgdbm.ErrInvalid].
func (c Customer) validate() error {
	switch {
	case !code.MatchString(c.ID):
		return fmt.Errorf("%w: id %q: 2 to 20 capital letters or digits", pgdbm.ErrInvalid, c.ID)
	case c.Company == "":
		return fmt.Errorf("%w: company is empty", pgdbm.ErrInvalid)
	case c.Country == "":
		return fmt.Errorf("%w: country is empty", pgdbm.ErrInvalid)
	}
	return nil
}
