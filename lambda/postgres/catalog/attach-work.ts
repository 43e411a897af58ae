import * as v from 'valibot';
import type { Attach } from '../../migration/deploy-check.ts';
import { wordsOf } from '../../migration/postgres-fault.ts';
import type { RelationName } from '../../migration/relation-name.ts';
import { OWN_PATH } from '../session/own-path.ts';
import { quoteIdentifier, quoteLiteral } from '../session/quote.ts';
import { ASKED, findRelations, rolledBack } from '../session/rolled-back.ts';
import type { Session } from '../session/session.ts';
import { questionLimits } from '../session/statement-limits.ts';
import type { StatementWork } from './type-change.ts';

interface Attaching extends Attach {
  readonly partition: RelationName;
  /** The file's own SET statements. */
  readonly settings: readonly string[];
  /** A schema where our role may create tables. */
  readonly ledgerSchema: string;
}

const relations = v.object({
  partition: v.string(),
  checks: v.array(v.string()),
  /** Columns whose NOT NULL is not valid, which the copy would have as valid. */
  nullable: v.array(v.string()),
  /** From the root to the table that gets the partition. */
  parents: v.array(v.object({ name: v.string(), key: v.string(), bound: v.nullable(v.string()) })),
});

/**
 * Lets Postgres itself decide: attaches an empty copy of the partition, with its valid CHECKs, to empty copies of the
 * partitioned table and of those above, and looks whether the partition was read. Everything is rolled back.
 */
export async function attachWork(session: Session, attaching: Attaching): Promise<StatementWork> {
  const { parent, partition, settings, ledgerSchema } = attaching;
  const limits = questionLimits({ statement: 10_000, lock: 1_000 });
  const found = await rolledBack(session, [
    ...settings,
    ...limits,
    findRelations([parent, partition]),
    OWN_PATH,
    `select pg_catalog.json_build_object(
         'partition', (select oid::regclass::text from ${ASKED} where number = 2),
         'checks', (select coalesce(pg_catalog.json_agg(pg_catalog.pg_get_constraintdef(c.oid)), '[]') from ${ASKED}
                     join pg_catalog.pg_constraint c on c.conrelid = asked.oid and c.contype = 'c' and c.convalidated
                    where number = 2),
         'nullable', (select coalesce(pg_catalog.json_agg(a.attname), '[]') from ${ASKED}
                       join pg_catalog.pg_constraint c on c.conrelid = asked.oid and c.contype = 'n' and not c.convalidated
                       join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
                      where number = 2),
         'parents', (select pg_catalog.json_agg(pg_catalog.json_build_object(
                              'name', c.oid::regclass::text, 'key', pg_catalog.pg_get_partkeydef(c.oid),
                              'bound', pg_catalog.pg_get_expr(c.relpartbound, c.oid)) order by above.level desc)
                       from ${ASKED},
                            pg_catalog.pg_partition_ancestors(asked.oid) with ordinality as above (oid, level)
                       join pg_catalog.pg_class c on c.oid = above.oid
                      where number = 1)) as found`,
  ]);
  if (found.fault !== undefined) return { kind: 'unknown', because: wordsOf(found.fault.fault) };
  const seen = v.safeParse(relations, JSON.parse(found.row?.found ?? 'null'));
  if (!seen.success) return { kind: 'scan' };
  const copies = { ...attaching, ...seen.output, limits };
  const temporary = await tryOnCopies(session, copies, {
    schema: 'pg_temp',
    create: (name) => `create temporary table ${name}`,
  });
  if (temporary.kind !== 'unknown') return temporary;
  const ordinary = await tryOnCopies(session, copies, {
    schema: ledgerSchema,
    create: (name) => `create table ${name}`,
  });
  return ordinary.kind === 'unknown' ? temporary : ordinary;
}

async function tryOnCopies(
  session: Session,
  {
    partition,
    checks,
    nullable,
    parents,
    bound,
    settings,
    limits,
  }: Omit<Attaching, 'partition'> & v.InferOutput<typeof relations> & { readonly limits: readonly string[] },
  { create, schema }: { readonly create: (name: string) => string; readonly schema: string },
): Promise<StatementWork> {
  const named = (name: string) => `${quoteIdentifier(schema)}.attach_probe_${name}`;
  const copy = named('partition');
  const scans = `pg_catalog.pg_stat_get_xact_numscans(${quoteLiteral(copy)}::pg_catalog.regclass::pg_catalog.oid)`;
  const { row, fault } = await rolledBack(session, [
    ...settings,
    ...limits,
    ...parents.flatMap(({ name, key, bound: ofParent }, at) => [
      `${create(named(String(at)))} (like ${name}) partition by ${key}`,
      ...(at === 0
        ? []
        : [alter(named(String(at - 1)), `attach partition ${named(String(at))} ${ofParent}`)]),
    ]),
    `${create(copy)} (like ${partition})`,
    ...nullable.map((column) => `alter table ${copy} alter column ${quoteIdentifier(column)} drop not null`),
    ...checks.map((check) => alter(copy, `add ${check}`)),
    `select pg_catalog.set_config('migrations.scans_before', ${scans}::pg_catalog.text, true)`,
    alter(named(String(parents.length - 1)), `attach partition ${copy} ${bound}`),
    OWN_PATH,
    // Without its statistics, nothing shows that it was read.
    `select pg_catalog.current_setting('track_counts')::bool
            and pg_catalog.current_setting('migrations.scans_before') = ${scans}::text as unread`,
  ]);
  if (fault !== undefined) return { kind: 'unknown', because: wordsOf(fault.fault) };
  return { kind: row?.unread === 't' ? 'nothing' : 'scan' };
}

function alter(table: string, command: string): string {
  return `alter table ${table} ${command}`;
}
