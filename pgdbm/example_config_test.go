package pgdbm_test

import (
	"fmt"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// However a configuration is written, its passwords are not.
func ExampleConfig() {
	cfg := pgdbm.Config{
		ConnString: "postgres://shop:s3cret@db.example.com/shop",
		MaxConns:   10,
		TLS:        pgdbm.TLSConfig{RootCert: "/etc/shop/ca.crt"},
	}
	fmt.Println(cfg)
	// Output: {ConnString:postgres://shop:xxxxx@db.example.com/shop MaxConns:10 TLS:{RootCert:/etc/shop/ca.crt}}
}

// All mistakes are reported at once.
func ExampleConfig_Validate() {
	cfg := pgdbm.Config{
		Host: "db.example.com:5432", MaxConns: 5, MinConns: 10,
		TLS: pgdbm.TLSConfig{Mode: "disable", RootCert: "/etc/shop/ca.crt"},
	}
	fmt.Println(cfg.Validate())
	// Output:
	// pgdbm: config: Host "db.example.com:5432" has a port in it: set Port, or ConnString for ports that differ
	// pgdbm: config: MinConns (10) exceeds MaxConns (5): lower it, or raise MaxConns
	// pgdbm: config: TLS.Mode disable contradicts the certificate files: use verify-full
}

func ExampleMask() {
	fmt.Println(pgdbm.Mask("host=db user=shop password='s3 cret' sslmode=require"))
	// Output: host=db user=shop password=xxxxx sslmode=require
}
