-- Words that a learner wants to see again.
create table saved_words (
  id bigint generated always as identity primary key,
  user_id bigint not null,
  language text not null,
  word text not null,
  translation text,
  saved_at timestamptz not null default now()
);
