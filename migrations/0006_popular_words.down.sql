drop materialized view if exists popular_words cascade;
