alter table customers alter column country set not null;
