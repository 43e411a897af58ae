update orders set total = 0 where total < 0;
alter table orders add constraint orders_total_check check (total >= 0) not valid;
commit;
alter table orders validate constraint orders_total_check;
