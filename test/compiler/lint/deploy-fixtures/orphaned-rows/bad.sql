alter table orders add constraint orders_customer_id_fkey foreign key (customer_id) references customers not valid;
commit;
alter table orders validate constraint orders_customer_id_fkey;
