alter table {{tables.products}} validate constraint products_reorder_level_check;
