alter table orders add constraint orders_customer_id_fkey foreign key (customer_id) references customers not valid;
commit;
delete from orders where customer_id not in (select id from customers);
commit;
alter table orders validate constraint orders_customer_id_fkey;
