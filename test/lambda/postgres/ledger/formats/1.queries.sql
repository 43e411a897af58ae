-- What the code of format 1 asks of a ledger, and how its loop goes on: it stays deployed where a stack was rolled back.
select format as ledger_format from migrations.ledger;
select json_agg(json_build_object('version', version, 'step', step, 'steps', steps, 'name', name,
         'checksum', checksum, 'fingerprint', fingerprint, 'state', state)) as steps
  from migrations.step;
select json_agg(json_build_object('id', id::text, 'version', version, 'step', step, 'schema', schema_name,
         'table', table_name, 'index', index_name, 'unique', is_unique, 'state', state) order by id) as builds
  from migrations.index_build
 where state <> 'done';
select id::text, (select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where c.oid = index_build.tableoid) as ledger,
       version, step, run_id::text as "runId", file, line, operation, schema_name as schema, table_name as table,
       index_name as index, is_unique as unique, statement, definition, settings,
       to_json(replaces::bigint[]) as replaces, partitioned, state, attempts, turns, session,
       builder_pid is not null as "builderAppeared", attempt_outcome, adopted, fault, table_rows, table_bytes
  from migrations.index_build order by index_build.id;
update migrations.index_build set turns = turns + 1
 where id = (select id from (select b.id, b.schema_name, b.table_name
            from (select distinct on (schema_name, table_name) id, schema_name, table_name
                    from migrations.index_build
                   where state in ('pending', 'building')
                   order by schema_name, table_name, id) as b
           where not exists (select from migrations.index_build part
                              where part.parent_build = b.id and part.state in ('pending', 'building'))) as first
              where schema_name = 'public' and table_name = 'messages')
returning id::text, (select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace
                      where c.oid = index_build.tableoid) as ledger;
update migrations.index_build
   set state = 'building', attempts = attempts + 1, session = 'loopback', started_at = clock_timestamp(),
       first_started_at = coalesce(first_started_at, clock_timestamp()),
       attempt_outcome = null, supervisor_pid = null, builder_pid = null
 where id = 3 and attempts = 1 and state in ('pending', 'building')
returning id;
do $$ declare wanted migrations.index_build; begin
  select * into wanted from migrations.index_build where id = 3;
  update migrations.index_build set attempt_outcome = '{"kind": "succeeded"}' where id = wanted.id and attempts = 2;
end $$;
with ended as (
  update migrations.index_build
     set state = 'done', fault = null, adopted = false, finished_at = clock_timestamp()
   where id = 3 and state in ('pending', 'building')
returning version, step
), others as (
  select count(*) filter (where b.state in ('pending', 'building')) as unfinished,
         count(*) filter (where b.state in ('failed', 'cancelled')) as failed
    from ended join migrations.index_build b on b.version = ended.version and b.step = ended.step and b.id <> 3
)
update migrations.step
   set state = case when others.unfinished > 0 then 'pending'
                    when others.failed > 0 then 'failed'
                    else 'applied' end,
       finished_at = clock_timestamp()
  from ended, others
 where step.version = ended.version and step.step = ended.step;
insert into migrations.run as run (id, action, cause, actor, started_at, finished_at, outcome, summary)
values (gen_random_uuid(), 'run', 'loop', 'index-build loop', clock_timestamp(), clock_timestamp(), 'done', '{}')
on conflict (id) do update set finished_at = excluded.finished_at;
insert into migrations.step (version, step, steps, name, checksum, fingerprint, state, run_id)
values ('99', 0, 1, '99_late', '', '', 'pending', gen_random_uuid());
insert into migrations.index_build (version, step, run_id, file, line, operation, schema_name, table_name, index_name,
  is_unique, statement, definition, settings, replaces, partitioned, parent_build, table_rows, table_bytes)
values ('99', 0, gen_random_uuid(), '99_late.sql', 1, 'create', 'public', 'messages', 'late', false,
  'create index concurrently "late" on "public"."messages" (x)', '(x)', '{}', '{}', false, null, 500, 49152);
delete from migrations.index_build where version = '99';
delete from migrations.step where version = '99';
