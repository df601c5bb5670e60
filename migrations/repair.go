package migrations

import (
	"fmt"
	"slices"
	"strings"

	"github.com/samber/lo"
)

// repair is what is known of a migration that is to be resolved.
type repair struct {
	*target
	key  string
	rows []Record
	row  *Record // nil: it is not recorded
	file *file   // nil: the program does not have it
}

// plan returns the statement that resolves it, or why it cannot be resolved so.
func (r repair) plan(how Resolution, m *Migrator) (change request, refusal string) {
	switch {
	case r.row == nil && r.file == nil:
		return change, fmt.Sprintf("there is no migration %s, neither here nor recorded", r.key)
	case how == ResolveApplied && r.row == nil:
		return r.applyPending(m)
	case r.row == nil:
		return change, fmt.Sprintf("%s is pending, nothing is recorded of it; run Up, or resolve it as applied", r.file.File)
	}
	name, applied := r.name(), r.row.Status == StatusApplied
	edited := r.file != nil && (r.row.Checksum != r.file.Checksum || r.row.Algorithm != checksumAlgorithm)
	switch {
	case how == ResolveApplied && applied:
		return change, name + " is applied already"
	case how == ResolveApplied:
		return r.applyFailed(), ""
	case how == ResolveRetry && applied:
		return change, name + " is applied; undo it with Down, or by a new migration"
	case how == ResolveRetry:
		return r.update("status = 'failed', statements_done = 0, statement_hashes = '{}'"), ""
	case how == ResolveForget && r.file != nil && applied:
		return change, name + " is there, it is not unknown; undo it with Down, or accept it if it was edited"
	case how == ResolveForget && r.file != nil:
		return change, name + " is there, it is not unknown; retry it to have it start over"
	case how == ResolveForget:
		return request{sql: "delete from " + r.tracked + " where module = $1 and key = $2", args: []any{r.Module, r.key}}, ""
	case r.file == nil:
		return change, name + " is recorded, but there is no such file whose checksum could be taken; restore it, or forget it"
	case !applied:
		return change, name + " has not finished; run Up, or retry it to have it start over"
	case !edited:
		return change, name + " was not edited"
	default:
		return r.accept(), ""
	}
}

// name is what messages call the migration.
func (r repair) name() string {
	if r.file != nil {
		return r.file.File
	}
	if r.row.Version == 0 {
		return r.row.Key
	}
	return fmt.Sprintf("%d_%s", r.row.Version, r.row.Name)
}

// update returns a statement that changes the row.
func (r repair) update(set string, args ...any) request {
	return request{sql: "update " + r.tracked + " set " + set + " where module = $1 and key = $2", args: append([]any{r.Module, r.key}, args...)}
}

// applyPending records a migration that has not run, with what it stands for.
func (r repair) applyPending(m *Migrator) (change request, refusal string) {
	d, _ := r.decide(r.rows, scope{}, m.cfg.OutOfOrder) // what else is wrong does not matter here
	i := slices.IndexFunc(d.pending, func(p pending) bool { return p.Key == r.key })
	if i < 0 {
		return change, r.file.File + " is not pending: a checkpoint stands for it, or what it stands for is applied"
	}
	before := lo.Filter(d.pending, func(p pending, _ int) bool { return 0 < p.Version && p.Version < r.file.Version })
	if len(before) > 0 && r.file.Version > 0 {
		list := lo.Map(before, func(p pending, _ int) string { return p.File })
		return change, fmt.Sprintf("%s are pending before %s; apply or resolve them first", strings.Join(list, ", "), r.file.File)
	}
	return r.recordUnrun(append(slices.Clone(d.pending[i].instead), r.file), m), ""
}

// applyFailed records a migration as applied that failed.
func (r repair) applyFailed() request {
	const set = "status = 'applied', finished_at = clock_timestamp(), error = null, sqlstate = null"
	if r.file == nil {
		return r.update(set)
	}
	return r.update(set+", checksum = $3, checksum_algo = $4", r.file.Checksum, checksumAlgorithm)
}

// accept takes what an edited migration is now.
func (r repair) accept() request {
	var down any
	if r.file.down != nil && r.file.down.fn == nil {
		down = r.file.down.text
	}
	return r.update("checksum = $3, checksum_algo = $4, name = $5, kind = case kind when 'baseline' then kind else $6 end, down_sql = $7",
		r.file.Checksum, checksumAlgorithm, r.file.Name, string(r.file.Kind), down)
}
