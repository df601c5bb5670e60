create table {{tables.products}} (
	id    bigint generated always as identity primary key,
	name  text not null unique,
	stock integer not null check (stock >= 0)
);
