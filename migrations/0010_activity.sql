-- Ordinary statements and CONCURRENTLY in one file: the column comes in a transaction, each index after it.
alter table daily_stats add column words_saved bigint not null default 0;

create index concurrently idx_daily_stats_day_minutes on daily_stats (day, minutes desc);

-- Nobody signs up twice, whatever the case of the address.
create unique index concurrently idx_users_email_lower on users (lower(email));
