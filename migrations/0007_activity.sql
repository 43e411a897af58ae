-- Ordinary statements and CONCURRENTLY in one file: the columns come in a transaction, each index after it.
alter table users add column last_seen_at timestamptz;
alter table daily_stats add column words_saved bigint not null default 0;

create unique index concurrently idx_users_email_lower on users (lower(email));
create index concurrently idx_daily_stats_day_minutes on daily_stats (day, minutes desc);
