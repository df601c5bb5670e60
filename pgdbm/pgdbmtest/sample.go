package pgdbmtest

import (
	"context"
	"slices"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

const sampleTables = `
create table {{tables.users}} (
	id         serial primary key,
	email      varchar(255) unique not null,
	full_name  varchar(255),
	is_active  boolean default true,
	created_at timestamp default current_timestamp
);
create table {{tables.projects}} (
	id          serial primary key,
	name        varchar(255) not null,
	owner_id    integer references {{tables.users}} (id),
	description text,
	created_at  timestamp default current_timestamp
);
create table {{tables.agents}} (
	id          serial primary key,
	project_id  integer references {{tables.projects}} (id),
	title       varchar(255) not null,
	status      varchar(50) default 'pending',
	assigned_to integer references {{tables.users}} (id),
	created_at  timestamp default current_timestamp
);`

const sampleData = `
insert into {{tables.users}} (email, full_name) values
	('alice@example.com', 'Alice Smith'), ('bob@example.com', 'Bob Jones'), ('charlie@example.com', 'Charlie Brown');
insert into {{tables.projects}} (name, owner_id, description) values
	('Project Alpha', 1, 'First project'), ('Project Beta', 1, 'Second project');
insert into {{tables.agents}} (project_id, title, status, assigned_to) values
	(1, 'Design database schema', 'completed', 2), (1, 'Implement user authentication', 'in_progress', 2),
	(1, 'Write tests', 'pending', null), (2, 'Setup CI/CD', 'in_progress', 2), (2, 'Deploy to production', 'pending', null);`

// WithTables creates sample tables in the bound schema, for tests of code that
// needs some tables: users, projects of users, and agents of projects, all empty.
func WithTables() Option {
	return func(r *recipe) { r.once(script("WithTables", sampleTables)) }
}

// WithData is [WithTables] with 3 users (alice, bob, charlie), 2 projects of
// alice's and 5 agents.
func WithData() Option {
	return func(r *recipe) {
		WithTables()(r)
		r.once(script("WithData", sampleData))
	}
}

// once adds a step unless it is there: options that are put together may ask for
// the same.
func (r *recipe) once(s step) {
	if !slices.ContainsFunc(r.steps, func(known step) bool { return known.about == s.about }) {
		r.steps = append(r.steps, s)
	}
}

// script is a step that runs SQL.
func script(about, sql string) step {
	return step{about: about, key: []string{"sql", sql}, run: func(ctx context.Context, db pgdbm.DB) error {
		_, err := seed(ctx, db, []fixture{{about + ".sql", []byte(sql)}})
		return err
	}}
}
