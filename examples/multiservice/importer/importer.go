// Package importer loads customers, products and orders of another system from
// a file, one JSON object on each line:
//
//	{"kind": "customer", "id": "ALFKI", "company": "Alfreds Futterkiste", …}
//	{"kind": "product", "id": 11, "name": "Queso Cabrales", "price": "21.00", …}
//	{"kind": "order", "id": 10248, "customer": "VINET", "lines": [{"product": 11, …}], …}
//
// They go through the services, as requests do. What is there already and the
// same is left alone, so a file can be imported again, or again from its
// beginning after a mistake in it was corrected.
package importer

import (
	"context"
	"io"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/customers"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/inventory"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/orders"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// batchSize is the number of lines in a transaction: enough that its commit
// costs little, few enough that a mistake does not undo much.
const batchSize = 100

// Importer imports files. It is safe for concurrent use; of two imports of the
// same rows at the same time one may fail with [pgdbm.ErrConflict].
type Importer struct {
	db        pgdbm.DB
	customers *customers.Store
	inventory *inventory.Store
	orders    *orders.Store
}

// New returns an importer into the services' stores. Its transactions begin on
// db, which may be any module's.
func New(db pgdbm.DB, customers *customers.Store, inventory *inventory.Store, orders *orders.Store) *Importer {
	return &Importer{db, customers, inventory, orders}
}

// in returns the importer in a transaction.
func (im *Importer) in(tx *pgdbm.Tx) *Importer {
	return &Importer{im.db.In(tx), im.customers.In(tx), im.inventory.In(tx), im.orders.In(tx)}
}

// Progress is how far an import has come.
type Progress struct {
	Lines   int   // that are stored
	Bytes   int64 // of the file
	Created int   // rows that are new; the others were there already
}

// Run imports a file, a hundred lines in each transaction, and tells progress,
// which may be nil, after each. name is the file's, for messages.
//
// The first line with a mistake ends the import: "name:line: reason". Nothing
// of its batch is stored then; the batches before it are.
func (im *Importer) Run(ctx context.Context, name string, file io.Reader, progress func(Progress)) (Progress, error) {
	var done Progress
	for r := newReader(name, file); ; {
		batch, readErr := r.read(batchSize)
		if len(batch) == 0 {
			return done, readErr
		}
		var created int
		err := im.db.InTx(ctx, func(tx *pgdbm.Tx) (err error) {
			if created, err = im.in(tx).store(ctx, r, batch); err != nil {
				return err // of a line before the one that could not be read
			}
			return readErr
		})
		if err != nil {
			return done, err
		}
		done = Progress{Lines: done.Lines + len(batch), Bytes: r.bytes, Created: done.Created + created}
		if progress != nil {
			progress(done)
		}
	}
}

// store stores a batch and returns how many of its rows are new.
func (im *Importer) store(ctx context.Context, r *reader, batch []line) (created int, err error) {
	for _, l := range batch {
		isNew, err := l.record.store(ctx, im)
		if err != nil {
			return 0, r.at(l.number, err)
		}
		if isNew {
			created++
		}
	}
	if err := im.inventory.AdvanceIDs(ctx); err != nil {
		return 0, err
	}
	return created, im.orders.AdvanceIDs(ctx)
}
