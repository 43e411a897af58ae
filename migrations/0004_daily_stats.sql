-- One row for each learner and day on which they did something.
create table daily_stats (
  user_id bigint not null references users (id) on delete cascade,
  day date not null,
  messages bigint not null default 0,
  minutes bigint not null default 0,
  primary key (user_id, day)
);
