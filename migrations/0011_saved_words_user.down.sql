alter table saved_words drop constraint if exists saved_words_user_id_fkey;
