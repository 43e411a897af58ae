import { expect, it } from 'vitest';
import { freshDatabase } from '../../../support/fresh-database.ts';
import { scenarioOn } from '../../run/scenario.ts';
import { slowTable } from './building.ts';

/** Operators over pairs of types for which Postgres has none of its own, so that these are an exact match. */
const HOSTILE = `
create table public.taken (said text);
grant insert on public.taken to public;
create function public.take(a anyelement, b anyelement) returns anyelement language plpgsql as $$
begin
  insert into public.taken values (current_user || ' ' || coalesce(current_setting('migrations.loopback', true), ''));
  return a;
end $$;
do $$
declare
  types text[] := array['float8', 'numeric', 'int4', 'int8', 'interval'];
  l text; r text; name text;
begin
  foreach l in array types loop
    foreach r in array types loop
      continue when l = r;
      foreach name in array array['*', '/', '+', '-', '=', '<'] loop
        execute format('create or replace function public.taking(a %s, b %s) returns %s language sql as ''select public.take(a, a)''', l, r, l);
        execute format('create operator public.%s (leftarg = %s, rightarg = %s, function = public.taking)', name, l, r);
      end loop;
    end loop;
  end loop;
end $$;`;

it('a role that may create objects in public neither runs code as ours nor sees the connection string', async () => {
  const database = await freshDatabase();
  const evil = database.owner.replace('owner', 'evil');
  await database.adminQuery(
    `create extension dblink; create role ${evil}; grant usage, create on schema public to ${evil}`,
  );
  try {
    const scenario = scenarioOn(database);
    const files = { '1_big.sql': slowTable() };
    await scenario.run(files);
    await database.adminQuery(`set role ${evil}; ${HOSTILE}`);
    const { outcome } = await scenario.deploy({
      ...files,
      '2_x.sql': 'create index concurrently big_x on big (slow(x));',
    });
    expect(outcome).toBe('valid');
    expect(await database.adminQuery('select distinct said from public.taken')).toEqual([]);
  } finally {
    await database.adminQuery(`drop owned by ${evil}; drop role ${evil}`);
  }
});
