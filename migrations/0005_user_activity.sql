-- What the home page shows of each learner. Its unique index lets it be refreshed while it is read.
create materialized view user_activity as
select user_id, count(*) as messages, max(created_at) as last_message_at
from messages
where role = 'user'
group by user_id
with no data;

refresh materialized view user_activity;

create unique index concurrently idx_user_activity_user on user_activity (user_id);
