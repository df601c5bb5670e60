-- NOT VALID: new rows are checked from now on, and nobody waits for the old ones.
alter table {{tables.products}}
    add column reorder_level integer not null default 0,
    add constraint products_reorder_level_check check (reorder_level >= 0) not valid;
