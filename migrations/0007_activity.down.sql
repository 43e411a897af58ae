drop index concurrently if exists idx_daily_stats_day_minutes;
drop index concurrently if exists idx_users_email_lower;

alter table daily_stats drop column words_saved;
alter table users drop column last_seen_at;
