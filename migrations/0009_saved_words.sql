-- A saved word is somebody's, and goes with them. New rows are held to it at once, the old ones looked up by VALIDATE,
-- which keeps nobody waiting.
alter table saved_words
  add constraint saved_words_user_id_fkey foreign key (user_id) references users (id) on delete cascade not valid;
alter table saved_words validate constraint saved_words_user_id_fkey;

-- An expression: a word is looked up as it is spelled, whatever its case.
create index concurrently idx_saved_words_word_lower on saved_words (lower(word));

-- Nobody saves one word twice.
create unique index concurrently idx_saved_words_user_word on saved_words (user_id, language, word);
