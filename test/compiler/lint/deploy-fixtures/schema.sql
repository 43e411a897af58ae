create table customers (id bigint primary key, email text, country text);
create table orders (id bigint primary key, customer_id bigint, number int, total int);
insert into customers values (1, 'ada@example.org', 'GB'), (2, 'bob@example.org', null), (3, 'ADA@example.org', 'GB');
insert into orders values (1, 1, 100, 5), (2, 2, 100, -7), (3, 9, 101, null), (4, null, 102, 0);
