drop index concurrently if exists idx_users_email_lower;
drop index concurrently if exists idx_daily_stats_day_minutes;

alter table daily_stats drop column words_saved;
