drop index concurrently if exists idx_saved_words_user_word;
drop index concurrently if exists idx_saved_words_word_lower;
