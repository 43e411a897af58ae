import type pg from 'pg';

/**
 * A database as lines in a fixed order: relations, columns, constraints, indexes with their validity, types,
 * functions, the rows of `log`, sums of what backfills write, what a view shows, and what the ledger says was applied.
 * Two databases of the same schema give the same lines, whatever happened on the way: they have no oid or time.
 */
export async function dumpCatalog(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(
    `with user_schema as (
       select oid, nspname from pg_namespace
        where nspname !~ '^pg_' and nspname not in ('information_schema', 'migrations', 'extensions', 'closed', 'watched')
     ), relation as (
       select c.oid, n.nspname || '.' || c.relname as name, c.relkind, c.reloptions, c.relpersistence
         from pg_class c join user_schema n on n.oid = c.relnamespace
     )
     select format('relation %s %s %s', name, relkind, relpersistence)
            || coalesce(' ' || array_to_string(reloptions, ','), '') as line
       from relation
     union all
     select 'column ' || r.name || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
            || case when a.attnotnull then ' not null' else '' end
            || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') || format(' %s%s', a.attidentity, a.attgenerated)
       from relation r
       join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
       left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
      where r.relkind in ('r', 'p', 'v', 'm')
     union all
     select 'constraint ' || r.name || ' ' || o.conname || ' ' || pg_get_constraintdef(o.oid)
            || case when o.convalidated then '' else ' not validated' end
       from pg_constraint o join relation r on r.oid = o.conrelid
     union all
     select 'index ' || pg_get_indexdef(i.indexrelid) || case when i.indisvalid then '' else ' INVALID' end
            || coalesce(' part of ' || h.inhparent::regclass::text, '')
       from pg_index i join relation r on r.oid = i.indexrelid
       left join pg_inherits h on h.inhrelid = i.indexrelid
     union all
     select 'enum ' || t.typname || ' ' || e.enumlabel || ' ' || row_number() over (partition by t.oid order by e.enumsortorder)
       from pg_enum e join pg_type t on t.oid = e.enumtypid
     union all
     select 'function ' || pg_get_functiondef(p.oid) from pg_proc p join user_schema n on n.oid = p.pronamespace
      where p.prokind in ('f', 'p') and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
     union all
     select 'log ' || what || ' ' || count(*) from log group by what
     union all
     select format('amounts %s, %s', count(*), sum(amount)) from amounts
     union all
     select format('items %s, %s', count(*), sum(code)) from items
     union all
     select format('totals %s', total) from totals
     union all
     select 'step ' || version || '.' || step || ' of ' || steps || ' ' || name || ' ' || checksum || ' ' || state
       from migrations.step
     union all
     select 'build ' || operation || ' ' || schema_name || '.' || table_name || ' ' || index_name || ' ' || state
            || coalesce(' ' || (fault ->> 'sqlstate'), '')
       from migrations.work
     order by line`,
  );
  return rows.map(({ line }) => line);
}

/** Our sessions that still exist, and advisory locks that are held. */
export async function leftBehind(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(
    `select 'session ' || application_name || ' ' || coalesce(state, '') || ' ' || left(query, 80) as line
       from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
     union all
     select 'advisory lock of pid ' || pid from pg_locks
      where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`,
  );
  return rows.map(({ line }) => line);
}
