-- A ledger as the code of format 1 left it, with the tables of its migrations: a build that is done, one that failed,
-- one that was under way, one that had not begun. Its files are in older-ledgers.test.ts.
create table messages (id int primary key, x int);
insert into messages select i, i from generate_series(1, 500) i;
create index messages_x on messages (x);
create table authors (id int primary key, x int);
insert into authors select i, greatest(i, 2) from generate_series(1, 500) i;

create schema migrations;
create table migrations.ledger (
  one boolean primary key default true check (one),
  format int not null
);
create table migrations.run (
  id uuid primary key,
  action text not null,
  cause text not null,
  actor text not null,
  started_at timestamptz not null default pg_catalog.clock_timestamp(),
  finished_at timestamptz,
  outcome text check (outcome in ('done', 'waiting', 'unfinished', 'failed')),
  summary jsonb
);
create table migrations.step (
  version text not null,
  step int not null,
  steps int not null,
  name text not null,
  checksum text not null,
  fingerprint text not null,
  state text not null check (state in ('started', 'pending', 'failed', 'applied', 'baselined')),
  run_id uuid not null,
  recorded_at timestamptz not null default pg_catalog.clock_timestamp(),
  finished_at timestamptz,
  primary key (version, step)
);
create table migrations.index_build (
  id bigint generated always as identity primary key,
  version text not null,
  step int not null,
  run_id uuid not null,
  file text not null,
  line int not null,
  operation text not null check (operation in ('create', 'drop', 'reindex')),
  schema_name text not null,
  table_name text not null,
  index_name text not null,
  is_unique boolean not null default false,
  statement text not null,
  definition text not null default '',
  settings text[] not null default '{}',
  replaces oid[] not null default '{}',
  partitioned boolean not null default false,
  parent_build bigint references migrations.index_build (id) on delete cascade,
  state text not null default 'pending' check (state in ('pending', 'building', 'done', 'failed', 'cancelled')),
  attempts int not null default 0,
  turns int not null default 0,
  session text check (session in ('loopback', 'orphan', 'attached')),
  supervisor_pid int,
  builder_pid int,
  requested_at timestamptz not null default pg_catalog.clock_timestamp(),
  first_started_at timestamptz,
  started_at timestamptz,
  finished_at timestamptz,
  attempt_outcome jsonb,
  fault jsonb,
  adopted boolean not null default false,
  table_rows bigint,
  table_bytes bigint
);
create index index_build_unfinished on migrations.index_build (schema_name, table_name, id)
  where state in ('pending', 'building');
create table migrations.session_probe (
  kind text primary key check (kind in ('loopback', 'orphan')),
  survives boolean not null,
  because text not null,
  probed_at timestamptz not null default pg_catalog.clock_timestamp()
);
insert into migrations.ledger (format) values (1);
insert into migrations.run
  (id, actor, cause, action, outcome, summary, started_at, finished_at)
values
  ('05a17489-5aab-4202-88c7-1f14cd569cc6', 'Update of stack test', 'cloudformation', 'run', 'done',
    '{"steps":2,"builds":0,"applied":["1_messages","2_authors"],"waiting":null,"checksum":"bcb7d3ad09cc80f2b0a2cd15eccb9c1fadb65714552ec8c4d6fd2c53018c241d"}', '2025-11-28T08:13:04.586+00:00', '2025-11-28T08:13:04.791184+00:00');
insert into migrations.run
  (id, actor, cause, action, outcome, summary, started_at, finished_at)
values
  ('72f5ed97-cec2-4afb-bd8e-a8181d1af00c', 'Update of stack test', 'loop', 'resume', 'done',
    '{"steps":0,"builds":0,"applied":[],"waiting":null,"checksum":"bcb7d3ad09cc80f2b0a2cd15eccb9c1fadb65714552ec8c4d6fd2c53018c241d"}', '2025-11-28T08:13:04.829+00:00', '2025-11-28T08:13:04.846275+00:00');
insert into migrations.run
  (id, actor, cause, action, outcome, summary, started_at, finished_at)
values
  ('13ce1b92-4996-43b4-b29b-0fef3fa20990', 'Update of stack test', 'cloudformation', 'run', 'done',
    '{"steps":1,"builds":1,"applied":["3_messages_x"],"waiting":null,"checksum":"dfe58c6bd04721806c6eff5d00d94fb541d5f3e63c332db17b888181aa94a1d7"}', '2025-11-28T08:13:04.871+00:00', '2025-11-28T08:13:04.895563+00:00');
insert into migrations.run
  (id, actor, cause, action, outcome, summary, started_at, finished_at)
values
  ('5ee1d773-4e62-4835-a1c1-5cb2636a0515', 'Update of stack test', 'loop', 'resume', 'done',
    '{"steps":0,"builds":0,"applied":[],"waiting":null,"checksum":"dfe58c6bd04721806c6eff5d00d94fb541d5f3e63c332db17b888181aa94a1d7"}', '2025-11-28T08:13:05.06+00:00', '2025-11-28T08:13:05.070148+00:00');
insert into migrations.run
  (id, actor, cause, action, outcome, summary, started_at, finished_at)
values
  ('df546dd2-0092-41d0-8cfe-2f62194a6f37', 'Update of stack test', 'cloudformation', 'run', 'done',
    '{"steps":1,"builds":1,"applied":["4_authors_x"],"waiting":null,"checksum":"25975b33affb04e687dae804898c0c081bca100b7fc088a5401b4668b4234468"}', '2025-11-28T08:13:05.095+00:00', '2025-11-28T08:13:05.114183+00:00');
insert into migrations.run
  (id, actor, cause, action, outcome, summary, started_at, finished_at)
values
  ('289ec082-a981-4324-bf62-7e6238354148', 'Update of stack test', 'loop', 'resume', 'done',
    '{"steps":0,"builds":1,"applied":[],"waiting":null,"checksum":"25975b33affb04e687dae804898c0c081bca100b7fc088a5401b4668b4234468"}', '2025-11-28T08:13:05.219+00:00', '2025-11-28T08:13:05.234921+00:00');
insert into migrations.run
  (id, actor, cause, action, outcome, summary, started_at, finished_at)
values
  ('b1e91f76-6248-483f-96e7-d934e6f8b572', 'Update of stack test', 'cloudformation', 'run', 'done',
    '{"steps":2,"builds":3,"applied":["5_messages_id","6_messages_pair"],"waiting":null,"checksum":"a1e4d3807ded873038816b5a948e380c9e66744d13fd320e3bf401f4eaa23385"}', '2025-11-28T08:13:05.26+00:00', '2025-11-28T08:13:05.275637+00:00');
insert into migrations.step
  (name, step, state, steps, run_id, version, checksum, fingerprint, recorded_at)
values
  ('1_messages', 0, 'applied', 1, '05a17489-5aab-4202-88c7-1f14cd569cc6', '1',
    'd958331b9b183db426081e0952ec6e7ed0e013cb117b7f52bba595169d795a53',
    'f8939159208db5e38d578c4516fcdb9c3ac2a393c75d66ac82f9d62008d318f9', '2025-11-28T08:13:04.779297+00:00');
insert into migrations.step
  (name, step, state, steps, run_id, version, checksum, fingerprint, recorded_at)
values
  ('2_authors', 0, 'applied', 1, '05a17489-5aab-4202-88c7-1f14cd569cc6', '2',
    '9d513a28ae26aa8db0ac55b1dd37e00bbf2c58e2373755c4d83b01fd02a1aedc',
    '66e0d0143052f76a1e98ebb17c5f5d3f3c062e5d33fda2d0d7c83b06527dc450', '2025-11-28T08:13:04.78283+00:00');
insert into migrations.step
  (name, step, state, steps, run_id, version, checksum, fingerprint, finished_at, recorded_at)
values
  ('3_messages_x', 0, 'applied', 1, '13ce1b92-4996-43b4-b29b-0fef3fa20990', '3',
    'e12517b6b6d79646b375f56bf1d392f3dd786cabae5b57c5e5c745753d651533',
    '2cd3c4f3a9440eccd41a18df3bd412c062db41663d67839108a5c33074de2470', '2025-11-28T08:13:05.056283+00:00',
    '2025-11-28T08:13:04.894665+00:00');
insert into migrations.step
  (name, step, state, steps, run_id, version, checksum, fingerprint, recorded_at)
values
  ('5_messages_id', 0, 'pending', 1, 'b1e91f76-6248-483f-96e7-d934e6f8b572', '5',
    'c01c08fc20d78c9e46e72f6bf495d4577fe5f1af672fe0e2af41b79f19136ff8',
    'adab7ec6db7f4d893efa0dced7516aab95401ef679608b3a97dde1106f1725ad', '2025-11-28T08:13:05.274895+00:00');
insert into migrations.step
  (name, step, state, steps, run_id, version, checksum, fingerprint, recorded_at)
values
  ('6_messages_pair', 0, 'pending', 1, 'b1e91f76-6248-483f-96e7-d934e6f8b572', '6',
    'ee2085f57fdfdd9af6728b6cc42e9a6d16b86a8adf8055c001b2accb5fa4aa9a',
    '2890e23f574d8ede5f06251045e030def70773768f8daa85ee99c3095db963c8', '2025-11-28T08:13:05.275133+00:00');
insert into migrations.step
  (name, step, state, steps, run_id, version, checksum, fingerprint, finished_at, recorded_at)
values
  ('4_authors_x', 0, 'failed', 1, 'df546dd2-0092-41d0-8cfe-2f62194a6f37', '4',
    'ca44e49960f71ef4c2e64d1ff96c6f85a56bdc81232e82e6aadbb6f3a925e7a9',
    'd4668aaea8a35a1bd23ad58cfdad44de492a7d815adbb95b648ae0bed7278774', '2025-11-28T08:13:06.113479+00:00',
    '2025-11-28T08:13:05.113479+00:00');
insert into migrations.index_build
  (id, file, line, step, state, turns, run_id, adopted, session, version, attempts, replaces, settings, is_unique,
    operation, statement, definition, index_name, started_at, table_name, table_rows, builder_pid, finished_at,
    partitioned, schema_name, table_bytes, requested_at, supervisor_pid, attempt_outcome, first_started_at)
overriding system value values
  (1, '3_messages_x.sql', 1, 0, 'done', 2, '13ce1b92-4996-43b4-b29b-0fef3fa20990', false, 'loopback', '3', 1, '{}',
    '{}', false, 'create', 'create index concurrently "messages_x" on "public"."messages" (x)', '(x)',
    'messages_x', '2025-11-28T08:13:04.947023+00:00', 'messages', 101, 10257, '2025-11-28T08:13:05.056188+00:00',
    false, 'public', 49152, '2025-11-28T08:13:04.894909+00:00', 10256, '{"kind":"succeeded"}',
    '2025-11-28T08:13:04.947023+00:00');
insert into migrations.index_build
  (id, file, line, step, state, turns, run_id, adopted, version, attempts, replaces, settings, is_unique,
    operation, statement, definition, index_name, table_name, table_rows, partitioned, schema_name, table_bytes,
    requested_at)
overriding system value values
  (4, '6_messages_pair.sql', 1, 0, 'pending', 0, 'b1e91f76-6248-483f-96e7-d934e6f8b572', false, '6', 0, '{}', '{}',
    false, 'create', 'create index concurrently "messages_pair" on "public"."messages" (x, id)', '(x, id)',
    'messages_pair', 'messages', 101, false, 'public', 49152, '2025-11-28T08:13:05.275195+00:00');
insert into migrations.index_build
  (id, file, line, step, fault, state, turns, run_id, adopted, version, attempts, replaces, settings, is_unique,
    operation, statement, definition, index_name, table_name, table_rows, finished_at, partitioned, schema_name,
    table_bytes, requested_at)
overriding system value values
  (2, '4_authors_x.sql', 1, 0,
    '{"detail":"Key (x)=(1) is duplicated.","message":"could not create unique index authors_x","sqlstate":"23505"}', 'failed', 1, 'df546dd2-0092-41d0-8cfe-2f62194a6f37', false, '4', 0, '{}', '{}', true, 'create', 'create unique index concurrently "authors_x" on "public"."authors" (x)', '(x)', 'authors_x', 'authors', 101, '2025-11-28T08:13:06.113662+00:00', false, 'public', 49152, '2025-11-28T08:13:05.113662+00:00');
insert into migrations.index_build
  (id, file, line, step, state, turns, run_id, adopted, session, version, attempts, replaces, settings, is_unique,
    operation, statement, definition, index_name, started_at, table_name, table_rows, builder_pid, partitioned,
    schema_name, table_bytes, requested_at, supervisor_pid, first_started_at)
overriding system value values
  (3, '5_messages_id.sql', 1, 0, 'building', 1, 'b1e91f76-6248-483f-96e7-d934e6f8b572', false, 'loopback', '5', 1,
    '{}', '{}', false, 'create', 'create index concurrently "messages_id" on "public"."messages" (id desc)',
    '(id desc)', 'messages_id', '2025-11-28T08:13:06.275063+00:00', 'messages', 101, 999999, false, 'public',
    49152, '2025-11-28T08:13:05.275063+00:00', 999998, '2025-11-28T08:13:06.275063+00:00');
select setval(pg_get_serial_sequence('migrations.index_build', 'id'), 4);
