package orders

import "github.com/pgdbm/pgdbm-go/examples/multiservice/web"

// Routes adds the service's endpoints.
func Routes(api *web.API, s *Store) {
	api.Handle("GET /orders", "orders by id: ?limit=20&after=<next>", web.Pages(s.Page))
	api.Handle("POST /orders", "place an order; 409 when a product is sold out", web.Create(s.Place))
	api.Handle("GET /orders/{id}", "one order with its lines", web.Get(s.Get))
}
