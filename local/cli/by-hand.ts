import { relationsOf } from '../../lambda/foresight/table-knowledge.ts';
import { adopt, withAdopted } from '../../lambda/history/adopt.ts';
import { readLedgerAndHistory } from '../../lambda/history/read-history.ts';
import type { Backfill } from '../../lambda/migration/backfill.ts';
import { describeBuild, isIndexBuild, type LongOperation } from '../../lambda/migration/build.ts';
import {
  type CompiledMigrations,
  type IndexOperationStep,
  statementsOf,
} from '../../lambda/migration/migration.ts';
import type { MigrationOptions } from '../../lambda/migration/options.ts';
import { type PendingStep, plan } from '../../lambda/migration/plan.ts';
import { mayBeSame, type RelationName } from '../../lambda/migration/relation-name.ts';
import type { PresentTable } from '../../lambda/migration/route.ts';
import type { Version } from '../../lambda/migration/version.ts';
import { concurrentCreate, concurrentDrop } from '../../lambda/postgres/catalog/index-statement.ts';
import { measureTables } from '../../lambda/postgres/catalog/table-facts.ts';
import { findWalks, type Walk } from '../../lambda/postgres/catalog/walks.ts';
import { type BuildRow, readAllBuilds } from '../../lambda/postgres/ledger/build-rows.ts';
import type { Session } from '../../lambda/postgres/session/session.ts';
import { compareWithCode } from '../../lambda/work/turn/as-compiled.ts';
import { backfillOf } from '../../lambda/work/turn/fill.ts';

/** A pending index operation that a person can do by hand, so that the next run finds it done. */
export interface HandOperation {
  readonly operation: 'create' | 'drop' | 'reindex';
  readonly file: string;
  readonly line: number;
  readonly schema: string;
  readonly table: string;
  /** Empty for REINDEX TABLE. */
  readonly index: string;
  /** The concurrent statement, without a semicolon. */
  readonly statement: string;
  /** SET statements that decide what its names mean. */
  readonly settings: readonly string[];
  /** Of the table: exact up to the threshold of a small one. */
  readonly rows: number | undefined;
  readonly bytes: number | undefined;
}

/** Work of another kind that was handed off: the script notes in the ledger what it has done, and the loop finds it. */
export interface HandWork extends Omit<HandOperation, 'operation' | 'index'> {
  readonly operation: LongOperation;
  /** As messages call it. */
  readonly name: string;
  /** Of its row in the ledger. */
  readonly id: string;
  readonly version: Version;
  readonly step: number;
  readonly ledger: string;
  /** Of a backfill, in batches. */
  readonly walks: readonly Walk[];
  readonly backfill: Backfill | undefined;
  readonly batchMilliseconds: number;
  /** In lengths of a batch. */
  readonly pause: number;
}

/** An operation that must be left to a run, and why. */
export interface LeftOut {
  readonly file: string;
  readonly line: number;
  readonly because: string;
}

export interface ByHand {
  readonly operations: readonly (HandOperation | HandWork)[];
  readonly leftOut: readonly LeftOut[];
}

/** Finds the pending index operations that can be done by hand. Reads only. */
export async function findByHand(
  session: Session,
  { migrations, options }: { migrations: CompiledMigrations; options: MigrationOptions },
): Promise<ByHand> {
  const { history, exists, ...read } = await readLedgerAndHistory(session, { migrations, options });
  const ledger = withAdopted(read.ledger, adopt(history, migrations, read));
  const { pending } = plan(migrations.migrations, ledger, migrations.order);
  const builds = exists ? await readAllBuilds(session, options.ledgerSchema, read.format) : [];
  const found: (HandOperation | HandWork | LeftOut)[] = [];
  for (const build of builds.filter(({ state }) => state !== 'done')) {
    const { ledgerSchema } = options;
    const compared = await compareWithCode(session, build, { ledgerSchema, migrations });
    const { file, line } = build;
    if (compared.kind === 'refused') found.push({ file, line, because: compared.fault.message });
    else if (compared.kind !== 'as compiled') continue;
    else if (isIndexBuild(build)) found.push(ofBuild(build));
    else found.push(await ofWork(session, build, { migrations, options }));
  }
  for (const [position, { migration, step }] of pending.entries()) {
    if (step.long !== undefined) {
      const [statement] = statementsOf(step);
      const line = statement?.position.line ?? 1;
      found.push({ file: migration.file, line, because: NOT_HANDED_OFF });
    }
    if (step.kind !== 'index-operation') continue;
    const tables = await measureTables(session, relationsOf(step.operation), {
      limit: options.smallTableRows,
      settings: step.settings,
    });
    const present = tables.filter((table) => table.kind === 'present');
    const before = pending.slice(0, position);
    found.push(
      ...ofStep(step, { present, before }).map((each) => ({
        file: migration.file,
        line: step.statement.position.line,
        ...each,
      })),
    );
  }
  return {
    operations: found.filter((each): each is HandOperation | HandWork => 'statement' in each),
    leftOut: found.filter((each) => 'because' in each),
  };
}

function ofBuild(build: BuildRow): HandOperation | LeftOut {
  const { operation, file, line, schema, table, index, statement, settings, rows, bytes } = build;
  if (operation !== 'create' && operation !== 'drop' && operation !== 'reindex')
    return { file, line, because: NOT_HANDED_OFF };
  if (build.partitioned) return { file, line, because: PARTITIONED };
  return { operation, file, line, schema, table, index, statement, settings, rows, bytes };
}

const NOT_HANDED_OFF =
  'it is not handed off yet: up --no-wait does that where its table is not small, and export writes it then';

async function ofWork(
  session: Session,
  build: BuildRow,
  { migrations, options }: { migrations: CompiledMigrations; options: MigrationOptions },
): Promise<HandWork | LeftOut> {
  const { operation, file, line, id, version, step, ledger, schema, table, statement, settings } = build;
  const { rows, bytes } = build;
  if (build.state === 'building')
    return { file, line, because: 'the loop is at work on it: pause it, or cancel it, and export again' };
  const backfill = operation === 'backfill' ? backfillOf(migrations, build) : undefined;
  const walks = backfill === undefined ? [] : await findWalks(session, { backfill, settings });
  if (typeof walks === 'string') return { file, line, because: walks };
  return {
    ...{
      file,
      line,
      id,
      version,
      step,
      ledger,
      schema,
      table,
      statement,
      settings,
      rows,
      bytes,
      walks,
      backfill,
    },
    operation: operation as LongOperation,
    name: describeBuild(build),
    batchMilliseconds: backfill?.batchMilliseconds ?? options.backfillBatchSeconds * 1000,
    pause: backfill?.pause ?? options.backfillPause ?? 1,
  };
}

const PARTITIONED = 'its table is partitioned, and up builds the index partition by partition';

interface Around {
  readonly present: readonly PresentTable[];
  /** Steps that a run would apply first. */
  readonly before: readonly PendingStep[];
}

type Found = Omit<HandOperation, 'file' | 'line'> | Omit<LeftOut, 'file' | 'line'>;

function ofStep(step: IndexOperationStep, { present, before }: Around): Found[] {
  const { operation, settings } = step;
  const [table] = present;
  if (table === undefined)
    return [{ because: 'its table does not exist yet, and the run that creates it does this too' }];
  const earlier = before.find((other) => changes(other, table));
  if (earlier !== undefined) return [{ because: `${earlier.migration.file} is to change its table first` }];
  switch (operation.kind) {
    case 'create-index': {
      if (operation.index === undefined)
        return [{ because: 'it has no name by which a run could find it: give it one in the file' }];
      if (table.partitioned) return [{ because: PARTITIONED }];
      const relation = { schema: table.schema, name: table.table };
      const statement = concurrentCreate({ ...operation, index: operation.index, table: relation });
      return [{ ...base(table), operation: 'create', index: operation.index, statement, settings }];
    }
    case 'drop-index':
      if (!operation.ifExists)
        return [{ because: 'without IF EXISTS the run would not find the index, and fail' }];
      return present.map((of, ordinal): Found => {
        const index = operation.indexes[ordinal]?.name ?? '';
        const statement = concurrentDrop({ schema: of.schema, name: index });
        return { ...base(of), operation: 'drop', index, statement, settings };
      });
    case 'reindex':
      return [{ because: 'a run could not tell that it was done, and would do it again' }];
    default:
      return operation satisfies never;
  }
}

function base({ schema, table, rows, bytes }: PresentTable) {
  return { schema, table, rows, bytes };
}

/** Index operations on the table stay in order in the script; anything else is the run's. */
function changes({ step }: PendingStep, { schema, table }: PresentTable): boolean {
  if (step.kind === 'index-operation') return false;
  const relation: RelationName = { schema, name: table };
  return statementsOf(step).some(({ touches }) =>
    [...touches.changes, ...touches.creates].some((other) => mayBeSame(other, relation)),
  );
}
