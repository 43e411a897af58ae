drop index concurrently if exists idx_messages_content_search;
drop index concurrently if exists idx_messages_unread;
drop index concurrently if exists idx_messages_user_created;
