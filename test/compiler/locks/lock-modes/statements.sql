-- One statement a line; each runs in a transaction of its own after setup.sql.
alter table a add column y int
alter table a drop column note
alter table a alter column x set not null
alter table b alter column x type bigint
alter table a alter column x set statistics 100
alter table a validate constraint a_check
alter table a set (fillfactor = 70)
alter table a rename to a2
alter table a_x rename to a_x2
alter table a rename column x to y
alter table a rename constraint a_check to a_check2
alter table a set schema sub
alter table a enable row level security
alter table a disable trigger tr
alter table a cluster on a_x
alter table b replica identity using index b_pkey
alter table a replica identity full
alter table b add constraint b_fk foreign key (a_id) references a (id)
alter table b add constraint b_fk foreign key (a_id) references a (id) not valid
alter table b add foreign key (a_id) references sub.t
alter table a drop constraint a_pkey
alter table only a add unique (x)
alter table a add constraint a_note unique using index a_note
alter table heir no inherit ancestor
alter table stray inherit ancestor
alter table parent attach partition stray for values from (10) to (20)
alter table parent detach partition child
alter index parent_id rename to parent_id2
alter index only_id attach partition child_id
alter table parent add column y int
alter table parent add constraint positive check (id > 0)
alter table parent rename column id to id2
alter table ancestor add column z int
alter table ancestor rename column id to id2
alter table pointer drop constraint pointer_t_id_fkey
alter table pointer drop column t_id
alter table pointer validate constraint late
alter table pointer alter constraint late deferrable
alter table pointer alter column t_id type bigint
alter table pointer disable trigger all
alter table sub.t alter column id type bigint
alter table sub.t drop constraint t_pkey cascade
alter table sub.t add column y int
alter index a_x rename to a_x2
alter index a_x set (fillfactor = 70)
alter index if exists a_x set tablespace pg_default
alter view view_1 rename to view_2
alter materialized view mat rename to mat2
alter materialized view mat set (fillfactor = 70)
create index on a (id)
create index on parent (id)
create index on only parent (id)
create index on ancestor (id)
create unique index on sub.t (id)
reindex table a
reindex index a_x
cluster a using a_x
analyze a
analyze parent
analyze ancestor
reindex table pointer
analyze a, b (x)
drop table b
drop table parent
drop table grandchild_parent
drop table pointer
drop table heir
drop table if exists pointer, b
drop index a_x
drop index if exists a_x, b_x
drop view view_1
drop materialized view mat
drop trigger tr on a
drop rule ru on b
drop policy po on a
truncate b
truncate parent
truncate only ancestor
truncate ancestor
truncate pointer
truncate a, b
refresh materialized view mat
refresh materialized view concurrently mat
lock table a in share mode
lock table a, b
lock table parent
lock table ancestor
create trigger tr2 after insert on a for each row execute function fire()
create trigger tr4 after insert on parent for each row execute function fire()
create or replace trigger tr before insert on a for each row execute function fire()
create constraint trigger ct after insert on b from a for each row execute function fire()
create rule ru2 as on update to a do nothing
create policy po2 on a
alter policy po on a using (true)
alter trigger tr on a rename to tr3
create statistics st2 on id, x from b
alter statistics st set statistics 10
create publication pub2 for table a
alter publication pub add table a
alter publication pub drop table b
create publication pub3 for tables in schema sub
comment on table a is 'x'
comment on column sub.t.id is 'x'
comment on index a_x is 'x'
comment on constraint a_check on a is 'x'
comment on trigger tr on a is 'x'
comment on policy po on a is 'x'
comment on rule ru on b is 'x'
comment on view view_1 is 'x'
comment on materialized view mat is 'x'
comment on function fire() is 'x'
create table c (id int references a)
create table c (id int, foreign key (id) references sub.t (id))
create table c partition of parent for values from (50) to (60)
create table c () inherits (ancestor)
create table c (like a including all)
create table c as select * from a
create materialized view c as select * from a
create table if not exists a (id int references b)
select * into c from a
create view c as select * from a
create or replace view view_1 as select id from a
create schema c create table t (id int references sub.t)
alter sequence seq owned by a.id
grant select on a to public
create extension if not exists btree_gist
insert into a values (1, 1)
insert into a values (1, 1) on conflict do nothing
update a set x = 1
delete from b
with gone as (delete from b returning *) insert into a select id, x from gone
merge into a using b on a.id = b.id when matched then delete
select * from a for update
explain analyze update a set x = 1
copy a to program 'cat >/dev/null'
alter table loose add primary key using index loose_id
alter table a add column z uuid default gen_random_uuid()
alter table a add column z int references b
alter table a add column z int default 1 references b
alter table a alter column x set default 1
alter table a alter column x drop default
alter table a alter column note set storage external
alter table a alter column note set compression pglz
alter table a alter column x set (n_distinct = 5)
alter table a owner to current_user
alter table a add column s serial
alter table a add column s int generated always as identity
alter table a add column s int generated always as (x + 1) stored
alter table a add exclude using btree (x with =)
alter table a enable trigger tr
alter table a enable always trigger tr
alter table b disable rule ru
alter table a force row level security
alter table a set unlogged
alter table a set (autovacuum_enabled = off)
alter table a reset (fillfactor)
alter table a set without cluster
alter table a set access method heap
alter table a set tablespace pg_default
alter table only ancestor add constraint no_heirs check (id > 0) no inherit
alter table ancestor alter column id set not null
alter table ancestor alter column id type bigint
alter table parent add primary key (id)
alter table to_big drop constraint to_big_big_id_fkey
alter table to_big add foreign key (big_id) references big_parent
alter table big_parent add column note text
alter table pointer add foreign key (t_id) references big_parent not valid
alter view view_1 set (security_barrier = true)
alter view view_1 alter column id set default 1
alter view view_1 rename column id to id3
create unique index on loose (x)
create index on big_parent (id)
create index on to_big (big_id)
drop index parent_id
drop table big_parent cascade
drop table big_1 cascade
drop table to_big
drop view if exists view_1
alter table big_parent detach partition big_1
truncate a, pointer
truncate sub.t cascade
lock table only ancestor in share row exclusive mode
lock table a in access share mode
lock table b in exclusive mode
select * from a, b for update of b
select * from parent for share
update parent set id = 1
delete from ancestor
create rule ru3 as on insert to b do instead nothing
create trigger tr9 before update on big_parent for each row execute function fire()
create sequence s2 owned by a.id
create type t2 as (x int)
alter type mood add value 'so-so' after 'good'
alter type mood rename value 'bad' to 'worse'
drop type mood
create function f2() returns int language sql as $$ select 1 $$
create or replace view view_1 as select id, 1 as one from a
create view v2 as select * from parent
create temporary table tt as select * from a
create table c (like a)
create table c partition of grandchild_parent default
alter table a drop constraint a_check
alter table stray rename to stray2
alter index stray_id rename to stray_id2
grant insert on parent to public
