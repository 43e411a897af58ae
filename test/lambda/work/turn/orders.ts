/** Large tables of several kinds: plain, with names that need quotes, a view. */
export const base = {
  '1_tables.sql': `create table orders (id int primary key, customer int, note text, at timestamptz, tags text[]);
insert into orders select i, i % 10, 'note ' || i from generate_series(1, 500) i;
create function customer_of(o orders) returns int language sql immutable as 'select o.customer';
create schema "Other Schema"; create table "Other Schema"."Some Table" (id int, "A Column" text);
insert into "Other Schema"."Some Table" select i, i from generate_series(1, 500) i;
create materialized view sums as select customer, count(*) from orders group by customer
  union all select i, i from generate_series(100, 500) i;
create extension if not exists dblink;`,
};
