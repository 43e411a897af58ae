-- How many words each message has. Filled in batches for the messages that are there, each batch a transaction of its
-- own; without a pause between them, since nothing else is to be done here.
alter table messages add column words int;
-- migrate: backfill pause 0
update messages set words = array_length(string_to_array(content, ' '), 1) where words is null;
