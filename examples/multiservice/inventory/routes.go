package inventory

import (
	"context"
	"net/http"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/web"
)

// Routes adds the service's endpoints.
func Routes(api *web.API, s *Store) {
	api.Handle("GET /products", "products by id: ?limit=20&after=<next>", web.List(s.products.Where()))
	api.Handle("POST /products", "a new product", web.Create(s.Create))
	api.Handle("GET /products/{id}", "one product", web.Get(s.Get))
	api.Handle("GET /products/{id}/stock", "what is left of a product", web.Get(s.stock))
	api.Handle("POST /products/{id}/stock", `more or less of a product: {"delta": 10}`, s.adjustStock)
}

// stock is the part of a product that changes all the time.
type stock struct {
	Product int64 `json:"product"`
	InStock int   `json:"in_stock"`
}

func (s *Store) stock(ctx context.Context, id int64) (stock, error) {
	p, err := s.Get(ctx, id)
	return stock{p.ID, p.InStock}, err
}

func (s *Store) adjustStock(r *http.Request) (int, any, error) {
	id, err := web.ID[int64](r)
	if err != nil {
		return 0, nil, err
	}
	change, err := web.Decode[struct {
		Delta int `json:"delta"`
	}](r)
	if err != nil {
		return 0, nil, err
	}
	p, err := s.Adjust(r.Context(), id, change.Delta)
	return http.StatusOK, stock{p.ID, p.InStock}, err
}
