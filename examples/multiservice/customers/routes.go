package customers

import "github.com/pgdbm/pgdbm-go/examples/multiservice/web"

// Routes adds the service's endpoints.
func Routes(api *web.API, s *Store) {
	api.Handle("GET /customers", "customers by id: ?limit=20&after=<next>", web.List(s.customers.Where()))
	api.Handle("POST /customers", "a new customer", web.Create(s.Create))
	api.Handle("GET /customers/{id}", "one customer", web.Get(s.Get))
}
