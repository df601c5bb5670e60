package migrations

import (
	"context"
	"fmt"
	"strings"
)

// Plan is what [Migrator.Up] would do.
type Plan struct {
	Steps    []Step   // in the order of execution
	Warnings []string // as in [Report]
}

// Step is a file that would run.
type Step struct {
	Module        string
	Schema        string
	File          string
	Key           string
	Version       int64 // 0 when repeatable
	Kind          Kind
	Transactional bool
	OutOfOrder    bool
	Resume        int                // statements that a failed run has executed; they are not run again
	Statements    []PlannedStatement // all of the file; none of a Go function
	Findings      []Finding          // warnings about the file
}

// PlannedStatement is a statement as it would be sent.
type PlannedStatement struct {
	Position
	SQL string
}

// Plan returns what Up would do, with the SQL as it would be sent. It reads
// only, takes no lock, creates nothing, and works on a standby. Its errors are
// those that Up finds before it runs anything.
func (m *Migrator) Plan(ctx context.Context, scopes ...Scope) (*Plan, error) {
	targets, s, err := m.selected(scopes)
	if err != nil {
		return nil, err
	}
	found, err := m.survey(ctx, targets, s)
	if err != nil {
		return nil, err
	}
	plan := &Plan{}
	for _, t := range targets {
		d := found.decisions[t]
		if d == nil {
			continue
		}
		plan.Warnings = append(plan.Warnings, d.warnings(t)...)
		for _, p := range d.pending {
			step, err := t.step(p)
			if err != nil {
				return nil, err
			}
			plan.Steps = append(plan.Steps, step)
		}
	}
	return plan, nil
}

func (t *target) step(p pending) (Step, error) {
	step := Step{
		Module: t.Module, Schema: t.Schema, File: p.File, Key: p.Key, Version: p.Version, Kind: p.Kind,
		Transactional: p.Transactional, OutOfOrder: p.outOfOrder, Resume: p.resume,
	}
	statements, err := t.renderAll(p.up)
	if err != nil {
		return step, err
	}
	for i, st := range statements {
		pos, _ := p.up.at(p.up.statements[i].offset)
		step.Statements = append(step.Statements, PlannedStatement{Position: pos, SQL: st.sql})
	}
	for _, f := range t.Source.findings {
		if f.File == p.File {
			step.Findings = append(step.Findings, f)
		}
	}
	return step, nil
}

// String renders the plan as SQL with comments.
func (p *Plan) String() string {
	var b strings.Builder
	for _, w := range p.Warnings {
		fmt.Fprintf(&b, "-- %s\n", w)
	}
	for _, s := range p.Steps {
		mode := "one transaction"
		if !s.Transactional {
			mode = "no transaction"
		}
		if s.Kind == KindGo {
			mode = "Go function, " + mode
		}
		fmt.Fprintf(&b, "-- %s@%s %s (%s)\n", s.Module, s.Schema, s.File, mode)
		for _, f := range s.Findings {
			fmt.Fprintf(&b, "-- %s\n", f)
		}
		for i, st := range s.Statements {
			if i < s.Resume {
				fmt.Fprintf(&b, "-- statement %d has been executed\n", i+1)
				continue
			}
			b.WriteString(st.SQL + ";\n")
		}
	}
	if len(p.Steps) == 0 {
		b.WriteString("-- nothing to do\n")
	}
	return b.String()
}
