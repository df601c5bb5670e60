package prom_test

import (
	"context"
	"log"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/prom"
)

func Example() {
	pool, err := pgdbm.Open(context.Background(), pgdbm.Config{Host: "db.example.org", Database: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	prometheus.MustRegister(prom.New(pool))
	http.Handle("/metrics", promhttp.Handler())
}
