drop table saved_words;
