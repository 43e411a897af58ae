-- An expression: a word is looked up as it is spelled, whatever its case.
create index concurrently idx_saved_words_word_lower on saved_words (lower(word));

-- Nobody saves one word twice.
create unique index concurrently idx_saved_words_user_word on saved_words (user_id, language, word);
