-- Everyone who learns a language here.
create table users (
  id bigint generated always as identity primary key,
  email text not null,
  display_name text not null,
  created_at timestamptz not null default now()
);
