-- The supervisor of a build as the code before format 7 had it.
create or replace procedure "migrations".supervise_build(build bigint, attempt int, settings pg_catalog.text[])
language plpgsql as E'
declare
  claimed bigint;
  wanted "migrations".index_build;
  setting pg_catalog.text; doing pg_catalog.text;
  pause pg_catalog.float8 := 0.02;
  said_sqlstate pg_catalog.text; said_message pg_catalog.text; said_detail pg_catalog.text;
  said_hint pg_catalog.text; said_context pg_catalog.text;
begin
  update "migrations".index_build set supervisor_pid = pg_catalog.pg_backend_pid()
   where id = build and attempts = attempt and state = ''building'' and supervisor_pid is null
  returning id into claimed;
  if claimed is null then return; end if;
  commit;
  begin
    select * into wanted from "migrations".index_build where id = build;
    perform "public".dblink_connect(''cdk_postgres_migrations_build''::pg_catalog.text, pg_catalog.current_setting(''migrations.loopback''));
    perform pg_catalog.set_config(''migrations.loopback'', '''', false);
    -- In a block, since dblink_exec() takes no statement that has rows, as a SELECT of set_config() has.
    foreach setting in array wanted.settings loop
      doing := setting;
      perform "public".dblink_exec(''cdk_postgres_migrations_build''::pg_catalog.text, pg_catalog.format(''do %L'', pg_catalog.format(''begin execute %L; end'', setting)));
    end loop;
    doing := null;
    perform "public".dblink_exec(''cdk_postgres_migrations_build''::pg_catalog.text, pg_catalog.format(''set client_encoding = %L'', pg_catalog.current_setting(''server_encoding'')));
    foreach setting in array settings loop
      perform "public".dblink_exec(''cdk_postgres_migrations_build''::pg_catalog.text, setting);
    end loop;
    update "migrations".index_build b set builder_pid = r.pid
      from "public".dblink(''cdk_postgres_migrations_build''::pg_catalog.text, ''select pg_catalog.pg_backend_pid()''::pg_catalog.text) as r (pid int) where b.id = build;
    if "public".dblink_send_query(''cdk_postgres_migrations_build''::pg_catalog.text, wanted.statement) <> 1 then
      raise exception ''the statement could not be sent: %'', "public".dblink_error_message(''cdk_postgres_migrations_build''::pg_catalog.text);
    end if;
  exception when query_canceled or others then
    get stacked diagnostics said_sqlstate = returned_sqlstate, said_message = message_text,
      said_detail = pg_exception_detail, said_hint = pg_exception_hint, said_context = pg_exception_context;
    update "migrations".index_build set attempt_outcome = pg_catalog.jsonb_build_object(''kind'', ''failed'', ''fault'',
      pg_catalog.jsonb_build_object(''sqlstate'', said_sqlstate, ''message'', said_message,
        ''detail'', case when doing is null then said_detail else pg_catalog.concat(''Refused was a setting of the file: '', doing) end,
        ''hint'', said_hint, ''context'', case when pg_catalog.strpos(said_context, ''cdk_postgres_migrations_build''::pg_catalog.text) > 0
    then pg_catalog.regexp_replace(said_context, ''(^|\\n)[^\\n]*cdk_postgres_migrations_build.*$''::pg_catalog.text, ''''::pg_catalog.text) end))
     where id = build and attempts = attempt;
    return;
  end;
  commit;
  while "public".dblink_is_busy(''cdk_postgres_migrations_build''::pg_catalog.text) = 1 loop
    commit;
    perform pg_catalog.pg_sleep(pause);
    commit;
    pause := least(pause * 1.3::pg_catalog.float8, 0.5::pg_catalog.float8);
  end loop;
  commit;
  begin
    perform status from "public".dblink_get_result(''cdk_postgres_migrations_build''::pg_catalog.text) as result (status pg_catalog.text);
    update "migrations".index_build set attempt_outcome = ''{"kind": "succeeded"}'' where id = build and attempts = attempt;
  exception when query_canceled or others then
    get stacked diagnostics said_sqlstate = returned_sqlstate, said_message = message_text,
      said_detail = pg_exception_detail, said_hint = pg_exception_hint, said_context = pg_exception_context;
    update "migrations".index_build set attempt_outcome = pg_catalog.jsonb_build_object(''kind'', ''failed'', ''fault'',
      pg_catalog.jsonb_build_object(''sqlstate'', said_sqlstate, ''message'', said_message, ''detail'', said_detail,
        ''hint'', said_hint, ''context'', case when pg_catalog.strpos(said_context, ''cdk_postgres_migrations_build''::pg_catalog.text) > 0
    then pg_catalog.regexp_replace(said_context, ''(^|\\n)[^\\n]*cdk_postgres_migrations_build.*$''::pg_catalog.text, ''''::pg_catalog.text) end))
     where id = build and attempts = attempt;
  end;
  commit;
  perform "public".dblink_disconnect(''cdk_postgres_migrations_build''::pg_catalog.text);
end';
