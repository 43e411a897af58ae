import * as v from 'valibot';
import type { PostgresFault } from '../../migration/postgres-fault.ts';
import { withDetail } from '../../migration/postgres-fault.ts';
import { sqlstate } from '../../migration/sqlstate.ts';
import { keyOfBuild } from '../../postgres/catalog/build-key.ts';
import { describeBroken, findDuplicates, fromOf } from '../../postgres/catalog/data-check.ts';
import { relationOid } from '../../postgres/catalog/relation-oid.ts';
import { OWN_PATH } from '../../postgres/session/own-path.ts';
import { quoteLiteral } from '../../postgres/session/quote.ts';
import { rolledBack } from '../../postgres/session/rolled-back.ts';
import type { Session } from '../../postgres/session/session.ts';
import type { Build } from '../build.ts';

/** Counting stops there. */
const MOST_COUNTED = 10_000;
const MOST_NAMED = 5;

interface Failed {
  readonly build: Build;
  readonly fault: PostgresFault;
  /** For each question; 0 asks none. */
  readonly seconds: number;
}

const VIOLATIONS: ReadonlySet<string> = new Set([
  sqlstate.checkViolation,
  sqlstate.foreignKeyViolation,
  sqlstate.notNullViolation,
]);

/**
 * The fault of a validation that met rows which violate its constraint, with how many there are and which: Postgres
 * stops at the first, and names it for a foreign key only. As it was where that can't be told in the time.
 */
export async function withViolations(
  session: Session,
  { build, fault, seconds }: Failed,
): Promise<PostgresFault> {
  if (build.operation !== 'validate' || seconds <= 0 || !VIOLATIONS.has(fault.sqlstate)) return fault;
  const violations = await findViolations(session, build, seconds).catch(() => undefined);
  if (violations === undefined || violations.count === 0) return fault;
  const { count, key, examples } = violations;
  const many =
    count > MOST_COUNTED ? `more than ${MOST_COUNTED} rows` : `${count} row${count === 1 ? '' : 's'}`;
  const which = examples.length === 0 ? '' : `, such as (${key}) = ${examples.join(', ')}`;
  const counted = `${many} of ${build.schema}.${build.table} violate${count === 1 ? 's' : ''} it`;
  return {
    ...withDetail(fault, `${counted}${which}.`, `${counted}.`),
    hint: 'The constraint stays NOT VALID, and holds for rows that are written from now on. Mend those rows, then retry.',
  };
}

const constraintRow = v.object({
  table: v.string(),
  violated: v.string(),
  key: v.array(v.string()),
});

interface Violations {
  readonly count: number;
  readonly key: string;
  readonly examples: readonly string[];
}

async function findViolations(
  session: Session,
  { schema, table, index }: Build,
  seconds: number,
): Promise<Violations | undefined> {
  const [row] = await session.query(
    `select k.conrelid::pg_catalog.regclass::text as table,
            case k.contype
              when 'c' then pg_catalog.format('not (%s)', pg_catalog.pg_get_expr(k.conbin, k.conrelid))
              when 'f' then pg_catalog.format('%s and not exists (select from %s as other where %s)',
                (select pg_catalog.string_agg(pg_catalog.format('r.%I is not null', a.attname), ' and ')
                   from pg_catalog.unnest(k.conkey) as n (number)
                   join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = n.number),
                k.confrelid::pg_catalog.regclass,
                -- By the constraint's own operator: by its name alone it could be another one.
                (select pg_catalog.string_agg(pg_catalog.format('other.%I%s operator(%I.%s) r.%I%s',
                          f.attname, '::' || pg_catalog.format_type(lt.oid, null), op.nspname, o.oprname,
                          a.attname, '::' || pg_catalog.format_type(rt.oid, null)), ' and ')
                   from pg_catalog.generate_subscripts(k.conkey, 1) as n (place)
                   join pg_catalog.pg_operator o on o.oid = k.conpfeqop[n.place]
                   join pg_catalog.pg_namespace op on op.oid = o.oprnamespace
                   -- Not of an operator for any enum, array, range or row: there is no such type to cast to.
                   left join pg_catalog.pg_type lt on lt.oid = o.oprleft and lt.typtype <> 'p'
                   left join pg_catalog.pg_type rt on rt.oid = o.oprright and rt.typtype <> 'p'
                   join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[n.place]
                   join pg_catalog.pg_attribute f on f.attrelid = k.confrelid and f.attnum = k.confkey[n.place]))
              else (select pg_catalog.format('r.%I is null', a.attname) from pg_catalog.pg_attribute a
                     where a.attrelid = k.conrelid and a.attnum = k.conkey[1]) end as violated,
            array(select pg_catalog.quote_ident(a.attname)
                    from pg_catalog.pg_index i
                    join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
                   where i.indrelid = k.conrelid and i.indisprimary) as key
       from pg_catalog.pg_constraint k
      where k.conrelid = ${relationOid(quoteLiteral(schema), quoteLiteral(table))}
        and k.conname = any ($1::pg_catalog.name[]) and not k.convalidated
      limit 1`,
    [index.split(', ')],
  );
  if (row === undefined) return undefined;
  const { table: from, violated, key } = v.parse(constraintRow, row);
  const shown = key.length === 0 ? 'r.ctid' : key.map((column) => `r.${column}`).join(', ');
  const counted = await rolledBack(session, [
    `set local statement_timeout = ${Math.round(seconds * 1000)}`,
    // Better no count than one of the rows that we are shown.
    'set local row_security = off',
    // What was read above names its schemas for it.
    OWN_PATH,
    `select pg_catalog.count(*)::text as count, pg_catalog.to_json((pg_catalog.array_agg(key))[1:${MOST_NAMED}])::text as keys
       from (select pg_catalog.concat_ws(', ', ${shown}) as key from ${from} as r where ${violated} limit ${MOST_COUNTED + 1}) as rows`,
  ]);
  if (counted.fault !== undefined || counted.row === undefined) return undefined;
  const { count, keys } = counted.row;
  return {
    count: Number(count),
    key: key.length === 0 ? 'ctid' : key.join(', '),
    examples: v.parse(v.array(v.string()), JSON.parse(keys ?? '[]')).map((each) => `(${each})`),
  };
}

/**
 * Looks for what would make a unique build fail after hours, for `seconds` at the most, before it begins; 0 does not
 * look. Undefined where nothing was found, or the time was over: the build itself will tell.
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
    // What the build would end with.
    sqlstate: sqlstate.uniqueViolation,
    message: `could not create unique index "${build.index}": ${describeBroken(broken, 'value')} of (${key.parts.join(', ')}) in more than one row`,
    detail: `Such as ${broken.examples.join(', ')}.`,
    hint: 'Leave one row of each, then retry. Nothing was built.',
  };
}
