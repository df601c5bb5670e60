create view {{tables.sales}} as
select o.id as order_id, o.customer_id, o.ship_country, l.product_id, l.quantity, l.amount
from {{tables.orders}} o
join {{tables.lines}} l on l.order_id = o.id;
