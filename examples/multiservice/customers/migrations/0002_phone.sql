alter table {{tables.customers}} add column phone text not null default '';
