-- The newest messages of one learner, which the application reads each time that it opens.
create index concurrently idx_messages_user_created on messages (user_id, created_at desc);

-- Partial: few messages are unread at any time.
create index concurrently idx_messages_unread on messages (user_id) where read_at is null;

-- Full text, for "search my conversations".
create index concurrently idx_messages_content_search on messages using gin (to_tsvector('simple', content));
