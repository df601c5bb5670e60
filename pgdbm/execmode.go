package pgdbm

import (
	"github.com/jackc/pgx/v5"
)

// teachJSON lets the types that encoding/json makes of a document be arguments
// in the modes that do not ask the server for the types of its parameters: they
// are sent as JSON text. In the other modes the server says what they are.
func teachJSON(conn *pgx.Conn) {
	mode := conn.Config().DefaultQueryExecMode
	if mode != pgx.QueryExecModeExec && mode != pgx.QueryExecModeSimpleProtocol {
		return
	}
	for _, value := range []any{map[string]any(nil), map[string]string(nil), []any(nil), []map[string]any(nil)} {
		conn.TypeMap().RegisterDefaultPgType(value, "jsonb")
	}
}
