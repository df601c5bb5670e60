create table {{tables.orders}} (
	id      bigint generated always as identity primary key,
	product bigint not null references {{tables.catalog.products}},
	buyer   text not null
);
