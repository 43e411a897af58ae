update customers set country = 'unknown' where country is null;
alter table customers alter column country set not null;
