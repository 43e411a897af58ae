import * as v from 'valibot';
import type { PostgresFault } from '../../migration/postgres-fault.ts';
import { withDetail } from '../../migration/postgres-fault.ts';
import { sqlstate } from '../../migration/sqlstate.ts';
import { keyOfBuild } from '../../postgres/catalog/build-key.ts';
import { describeBroken, findDuplicates, fromOf } from '../../postgres/catalog/data-check.ts';
import { OWN_PATH } from '../../postgres/session/own-path.ts';
import { rolledBack } from '../../postgres/session/rolled-back.ts';
import type { Session } from '../../postgres/session/session.ts';
import type { Build } from '../build.ts';

/** Counting stops here. */
const MOST_COUNTED = 10_000;
const MOST_NAMED = 5;

interface Failed {
  readonly build: Build;
  readonly fault: PostgresFault;
  /** Limit for each query; 0 turns them off. */
  readonly seconds: number;
}

const VIOLATIONS: ReadonlySet<string> = new Set([
  sqlstate.checkViolation,
  sqlstate.foreignKeyViolation,
  sqlstate.notNullViolation,
]);

/**
 * Adds to a validation's fault how many rows violate the constraint, and which: Postgres stops at the first, and names
 * it for foreign keys only. Returns the fault unchanged if that can't be found in time.
 */
export async function withViolations(
  session: Session,
  { build, fault, seconds }: Failed,
): Promise<PostgresFault> {
  const { operation, schema, table } = build;
  const validates = operation === 'validate' || operation === 'validate-domain';
  if (!validates || seconds <= 0 || !VIOLATIONS.has(fault.sqlstate)) return fault;
  const violations = await findViolations(session, build, seconds).catch(() => undefined);
  if (violations === undefined || violations.count === 0) return fault;
  const { count, examples } = violations;
  const one = operation === 'validate' ? 'row' : 'value';
  const many =
    count > MOST_COUNTED ? `more than ${MOST_COUNTED} ${one}s` : `${count} ${one}${count === 1 ? '' : 's'}`;
  const which = examples.length === 0 ? '' : `, such as ${examples.join('; ')}`;
  const counted = `${many} of ${schema}.${table} violate${count === 1 ? 's' : ''} it`;
  return {
    ...withDetail(fault, `${counted}${which}.`, `${counted}.`),
    hint: 'The constraint stays NOT VALID, and applies to rows written from now on. Fix those rows, then retry.',
  };
}

/** What is searched for rows that violate the constraint, each by the name `r`. */
const places = v.array(
  v.object({
    /** As a message names it; empty where it is the constraint's own table. */
    table: v.string(),
    from: v.string(),
    violated: v.string(),
    key: v.array(v.string()),
  }),
);

interface Violations {
  readonly count: number;
  /** `(id) = (3), (4)`; of a domain for each of its tables. */
  readonly examples: readonly string[];
}

const KEY = `array(select pg_catalog.quote_ident(a.attname)
                    from pg_catalog.pg_index i
                    join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
                   where i.indrelid = c.oid and i.indisprimary) as key`;

/**
 * Of a constraint of a table; a foreign key is compared by its own operator, since the name alone could mean another
 * one. No cast is written for operators on any enum, array, range or row: there is no such type to cast to.
 */
const OF_TABLE = `select '' as table, c.oid::pg_catalog.regclass::text || ' as r' as "from",
            case k.contype
              when 'c' then pg_catalog.format('not (%s)', pg_catalog.pg_get_expr(k.conbin, k.conrelid))
              when 'f' then pg_catalog.format('%s and not exists (select from %s as other where %s)',
                (select pg_catalog.string_agg(pg_catalog.format('r.%I is not null', a.attname), ' and ')
                   from pg_catalog.unnest(k.conkey) as n (number)
                   join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = n.number),
                k.confrelid::pg_catalog.regclass,
                (select pg_catalog.string_agg(pg_catalog.format('other.%I%s operator(%I.%s) r.%I%s',
                          f.attname, '::' || pg_catalog.format_type(lt.oid, null), op.nspname, o.oprname,
                          a.attname, '::' || pg_catalog.format_type(rt.oid, null)), ' and ')
                   from pg_catalog.generate_subscripts(k.conkey, 1) as n (place)
                   join pg_catalog.pg_operator o on o.oid = k.conpfeqop[n.place]
                   join pg_catalog.pg_namespace op on op.oid = o.oprnamespace
                   left join pg_catalog.pg_type lt on lt.oid = o.oprleft and lt.typtype <> 'p'
                   left join pg_catalog.pg_type rt on rt.oid = o.oprright and rt.typtype <> 'p'
                   join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[n.place]
                   join pg_catalog.pg_attribute f on f.attrelid = k.confrelid and f.attnum = k.confkey[n.place]))
              else (select pg_catalog.format('r.%I is null', a.attname) from pg_catalog.pg_attribute a
                     where a.attrelid = k.conrelid and a.attnum = k.conkey[1]) end as violated,
            ${KEY}
       from pg_catalog.pg_constraint k join pg_catalog.pg_class c on c.oid = k.conrelid
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where n.nspname = $1::pg_catalog.name and c.relname = $2::pg_catalog.name
        and k.conname = any ($3::pg_catalog.name[]) and not k.convalidated
      limit 1`;

/** Of a constraint of a domain, each column of the domain, or of one over it: VALUE is a column of that name. */
const OF_DOMAIN = `with recursive domain as (
  select t.oid, k.conbin, t.typbasetype, t.typtypmod
    from pg_catalog.pg_constraint k join pg_catalog.pg_type t on t.oid = k.contypid
    join pg_catalog.pg_namespace n on n.oid = t.typnamespace
   where n.nspname = $1::pg_catalog.name and t.typname = $2::pg_catalog.name
     and k.conname = any ($3::pg_catalog.name[]) and not k.convalidated
  union all
  select t.oid, d.conbin, d.typbasetype, d.typtypmod
    from domain d join pg_catalog.pg_type t on t.typbasetype = d.oid and t.typtype = 'd'
)
select c.oid::pg_catalog.regclass::text as table,
       pg_catalog.format('(select w.*, w.ctid as row_id, w.%I::%s as value from %s as w) as r', a.attname,
         pg_catalog.format_type(d.typbasetype, d.typtypmod), c.oid::pg_catalog.regclass) as "from",
       pg_catalog.format('not (%s)', pg_catalog.pg_get_expr(d.conbin, 0)) as violated, ${KEY}
  from domain d join pg_catalog.pg_attribute a on a.atttypid = d.oid and not a.attisdropped
  join pg_catalog.pg_class c on c.oid = a.attrelid
 where c.relkind in ('r', 'm')
 order by 1`;

async function findViolations(
  session: Session,
  { operation, schema, table, index }: Build,
  seconds: number,
): Promise<Violations | undefined> {
  const ofDomain = operation === 'validate-domain';
  const asked = await session.query(ofDomain ? OF_DOMAIN : OF_TABLE, [schema, table, index.split(', ')]);
  const searched = v.parse(places, asked);
  if (searched.length === 0) return undefined;
  const rows = searched.map(({ from, violated, key }, place) => {
    const shown =
      key.length === 0 ? `r.${ofDomain ? 'row_id' : 'ctid'}` : key.map((column) => `r.${column}`).join(', ');
    return `(select ${place} as place, pg_catalog.concat_ws(', ', ${shown}) as key from ${from} where ${violated} limit ${MOST_COUNTED + 1})`;
  });
  const counted = await rolledBack(session, [
    `set local statement_timeout = ${Math.round(seconds * 1000)}`,
    // Better no count than one of only the rows that row security shows us.
    'set local row_security = off',
    // What was read above names its schemas for it.
    OWN_PATH,
    `select pg_catalog.count(*)::text as count,
            pg_catalog.to_json((pg_catalog.array_agg(pg_catalog.json_build_array(place, key) order by place))[1:${MOST_NAMED}])::text as keys
       from (${rows.join(' union all ')}) as rows`,
  ]);
  if (counted.fault !== undefined || counted.row === undefined) return undefined;
  const { count, keys } = counted.row;
  const found = v.parse(v.array(v.tuple([v.number(), v.string()])), JSON.parse(keys ?? '[]'));
  return {
    count: Number(count),
    examples: searched.flatMap(({ table, key }, place) => {
      const mine = found.filter(([at]) => at === place).map(([, each]) => `(${each})`);
      const of = `${table} (${key.length === 0 ? 'ctid' : key.join(', ')})`.trim();
      return mine.length === 0 ? [] : [`${of} = ${mine.join(', ')}`];
    }),
  };
}

/**
 * Searches, before a unique build starts, for duplicates that would make it fail after hours, for at most `seconds`; 0
 * does not search. Undefined if nothing was found or time ran out: then the build itself will tell.
 */
export async function duplicatesFault(
  session: Session,
  build: Build,
  seconds: number,
): Promise<PostgresFault | undefined> {
  if (!build.unique || build.operation !== 'create' || seconds <= 0) return undefined;
  const found = await keyOfBuild(session, build);
  if (found === undefined) return undefined;
  const { key } = found;
  const table = { schema: build.schema, name: build.table };
  const from = fromOf(table, { partitioned: build.partitioned, alone: true });
  const broken = await findDuplicates(
    session,
    { ...found, from },
    { settings: build.settings, milliseconds: seconds * 1000 },
  );
  if (broken === undefined || 'because' in broken || broken.count === 0) return undefined;
  return {
    // The fault that the build would end with.
    sqlstate: sqlstate.uniqueViolation,
    message: `could not create unique index "${build.index}": ${describeBroken(broken, 'value')} of (${key.parts.join(', ')}) in more than one row`,
    detail: `Such as ${broken.examples.join(', ')}.`,
    hint: 'Leave one row of each, then retry. Nothing was built.',
  };
}
