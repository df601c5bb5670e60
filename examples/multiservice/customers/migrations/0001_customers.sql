create table {{tables.customers}} (
    id         text primary key check (id ~ '^[A-Z0-9]{2,20}$'),
    company    text not null check (company <> ''),
    contact    text not null default '',
    city       text not null default '',
    country    text not null check (country <> ''),
    created_at timestamptz not null default now()
);
