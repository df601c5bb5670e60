package notifications

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/web"
)

// Routes adds the service's endpoints.
func Routes(api *web.API, s *Store, log *slog.Logger) {
	api.Handle("GET /notifications", "what was not sent yet: ?limit=20&after=<next>", web.List(s.Pending()))
	api.Handle("POST /notifications/deliver", "send the oldest: ?limit=20", s.deliver(log))
}

// deliver sends by writing to the log.
func (s *Store) deliver(log *slog.Logger) web.Handler {
	return func(r *http.Request) (int, any, error) {
		limit, err := web.Limit(r)
		if err != nil {
			return 0, nil, err
		}
		sent, err := s.Deliver(r.Context(), limit, func(ctx context.Context, n Notification) error {
			log.InfoContext(ctx, "notification sent", slog.String("to", n.Recipient), slog.String("message", n.Message))
			return nil
		})
		return http.StatusOK, map[string]any{"sent": sent}, err
	}
}
