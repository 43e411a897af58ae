-- The conversation with the tutor, one row for each turn of either side. By far the largest table.
create table messages (
  id bigint generated always as identity primary key,
  user_id bigint not null references users (id) on delete cascade,
  role text not null check (role in ('user', 'assistant', 'system')),
  content text not null,
  created_at timestamptz not null default now(),
  read_at timestamptz
);
