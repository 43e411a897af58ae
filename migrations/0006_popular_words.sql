-- The words that most learners saved, by language.
create materialized view popular_words as
select language, lower(word) as word, count(*) as learners
from saved_words
group by language, lower(word)
with no data;

refresh materialized view popular_words;

create unique index concurrently idx_popular_words_language_word on popular_words (language, word);
