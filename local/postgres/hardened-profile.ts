import { quoteIdentifier, quoteLiteral } from '../../lambda/postgres/session/quote.ts';

/** Who is who in a database as careful teams run it. */
export interface HardenedRoles {
  /** Logs in for the migrations. It inherits nothing and owns nothing. */
  readonly login: string;
  /** Owns the tables; cannot log in. */
  readonly owner: string;
  /** Hostile: may create objects in the database. */
  readonly stranger: string;
}

/** Where careful teams differ. */
export interface HardenedForm {
  /** Who takes the owner's role: the login role as each session begins, or each file by its own SET ROLE. */
  readonly setRole: 'by role' | 'by file';
  /** Whether we may use dblink's schema, and the temporary table that a loopback session needs. */
  readonly dblink: 'closed' | 'usable';
}

const DEFAULT_FORM: HardenedForm = { setRole: 'by role', dblink: 'closed' };

/** Prepares a server, once, as superuser; the role `login` already exists. */
export function hardenRoles(
  { login, owner, stranger }: HardenedRoles,
  { setRole }: HardenedForm = DEFAULT_FORM,
): string {
  const l = quoteIdentifier(login);
  const each = setRole === 'by role' ? `alter role ${l} set role = ${quoteLiteral(owner)};` : '';
  return `create role ${quoteIdentifier(owner)} nologin;
create role ${quoteIdentifier(stranger)} nologin;
alter role ${l} noinherit nocreatedb nocreaterole;
grant ${quoteIdentifier(owner)} to ${l};
${each}
alter role ${l} set search_path = public, ${SHARED};
alter role ${l} set statement_timeout = '3s';
alter role ${l} set lock_timeout = 0;
alter role ${l} set idle_in_transaction_session_timeout = '10s';
alter role ${l} set idle_session_timeout = '20s';
do $$ begin
  if current_setting('server_version_num')::int >= 170000 then
    execute ${quoteLiteral(`alter role ${l} set transaction_timeout = '4s'`)};
  end if;
end $$`;
}

/** Prepares each database: grants rights one by one, sets limits, and logs every statement. */
export function hardenDatabase(
  database: string,
  roles: HardenedRoles,
  { setRole, dblink }: HardenedForm = DEFAULT_FORM,
): string {
  const d = quoteIdentifier(database);
  const owner = quoteIdentifier(roles.owner);
  const stranger = quoteIdentifier(roles.stranger);
  const login = quoteIdentifier(roles.login);
  const ofLedger = setRole === 'by file' ? `grant create on database ${d} to ${login};\n` : '';
  const temporary = dblink === 'usable' ? `grant temporary on database ${d} to ${owner}, ${login};\n` : '';
  return `alter database ${d} owner to current_user;
revoke all on database ${d} from public;
grant connect on database ${d} to public;
grant create on database ${d} to ${owner}, ${stranger};
${ofLedger}${temporary}alter database ${d} set statement_timeout = '30s';
alter database ${d} set lock_timeout = '1s';
alter database ${d} set idle_in_transaction_session_timeout = '5s';
alter database ${d} set log_statement = 'all'`;
}

/**
 * Run in each database, as superuser; copies of the database keep it. An event trigger records DDL, dblink exists but
 * is closed to us, and a schema of the role's search path has operators that match better than Postgres's own.
 */
export function hardenObjects(roles: HardenedRoles, { dblink }: HardenedForm = DEFAULT_FORM): string {
  const owner = quoteIdentifier(roles.owner);
  const stranger = quoteIdentifier(roles.stranger);
  const usable =
    dblink === 'usable' ? `grant usage on schema closed to ${owner}, ${quoteIdentifier(roles.login)};\n` : '';
  return `revoke all on schema public from public;
grant usage, create on schema public to ${owner};
create schema if not exists closed;
create extension if not exists dblink schema closed;
${usable}create schema watched;
grant usage on schema watched to public;
create table watched.ddl (tag text, schema text, role text, login text);
create table watched.taken (by text);
create function watched.write_down() returns event_trigger language plpgsql security definer
  set search_path = pg_catalog as $$ begin
  insert into watched.ddl select tg_tag, schema_name, current_setting('role'), session_user from pg_event_trigger_ddl_commands();
end $$;
create function watched.take(what text) returns void language sql security definer set search_path = pg_catalog as
  $$ insert into watched.taken values (session_user || ': ' || what) $$;
create event trigger watched on ddl_command_end execute function watched.write_down();
set role ${stranger};
${HOSTILE}reset role`;
}

/** A schema in the role's search path where others may create objects. */
const SHARED = 'shared';

const HOSTILE = `create schema ${SHARED};
grant usage on schema ${SHARED} to public;
do $$ declare l text; r text; name text; begin
  foreach l in array array['float8', 'numeric', 'int4', 'int8', 'name', 'text'] loop
    foreach r in array array['float8', 'numeric', 'int4', 'int8', 'name', 'text'] loop
      continue when l = r or to_regoperator(format('pg_catalog.=(%s,%s)', l, r)) is not null;
      execute format('create function ${SHARED}.taking(a %s, b %s) returns bool language plpgsql as %L', l, r,
        'begin perform watched.take(''' || l || ' ' || r || '''); return true; end');
      foreach name in array array['=', '<', '>', '<>'] loop
        execute format('create operator ${SHARED}.%s (leftarg = %s, rightarg = %s, function = ${SHARED}.taking)', name, l, r);
      end loop;
    end loop;
  end loop;
end $$;
create function ${SHARED}.array_agg(name) returns text[] language plpgsql as
  $$ begin perform watched.take('array_agg'); return null; end $$;
create function ${SHARED}.unnest(int2[]) returns setof int2 language plpgsql as
  $$ begin perform watched.take('unnest'); return; end $$;
create function ${SHARED}.concat(text, text) returns text language plpgsql as
  $$ begin perform watched.take('concat'); return ''; end $$;
create function ${SHARED}.hashtext(text) returns int language plpgsql as
  $$ begin perform watched.take('hashtext'); return 0; end $$;
`;
