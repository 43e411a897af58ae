drop index concurrently if exists idx_saved_words_user_word;
drop index concurrently if exists idx_saved_words_word_lower;

alter table saved_words drop constraint if exists saved_words_user_id_fkey;
