insert into {{tables.orders}} (product, buyer)
select id, 'ada' from {{tables.catalog.products}} where stock > 0;
