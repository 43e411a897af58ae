import type { RecordedBuild } from '../migration/build.ts';
import { adviceFor } from '../migration/fault-advice.ts';
import type { CreateIndex, IndexOperationStep } from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import type { PendingStep } from '../migration/plan.ts';
import type { RelationName } from '../migration/relation-name.ts';
import type { PresentTable, TableFacts, UnknownTable } from '../migration/route.ts';
import { sqlstate } from '../migration/sqlstate.ts';
import {
  concurrentCreate,
  concurrentDrop,
  concurrentReindex,
  namesOfIndex,
} from '../postgres/catalog/index-statement.ts';
import { partsOf, tablesWithin, takenNames } from '../postgres/catalog/table-facts.ts';
import type { NewBuild } from '../postgres/ledger/new-build.ts';
import type { Session } from '../postgres/session/session.ts';

/** An index operation, its tables as they are now, and the builds already pending. */
export interface HandOff {
  readonly pending: PendingStep;
  readonly step: IndexOperationStep;
  /** One for each relation of relationsOf(), in that order. */
  readonly tables: readonly TableFacts[];
  readonly builds: readonly RecordedBuild[];
  readonly runId: string;
}

/**
 * The builds that an index operation becomes: one per index that it drops, one per table that it reindexes, of a whole
 * schema too.
 */
export async function buildsOf(session: Session, handOff: HandOff): Promise<NewBuild[]> {
  const { step, builds } = handOff;
  const { operation } = step;
  const tables = measured(handOff);
  switch (operation.kind) {
    case 'create-index': {
      const [table] = tables;
      if (table === undefined || table.kind === 'absent') return [];
      const index = operation.index ?? (await freeName(session, operation, { table, builds }));
      return [{ ...base(handOff, table), ...createBuild(operation, table, index) }];
    }
    case 'drop-index':
      return operation.indexes.flatMap((index, ordinal): NewBuild[] => {
        const table = tables[ordinal] ?? { kind: 'absent' };
        const pending = builds.find(
          (build) => build.index === index.name && (index.schema ?? build.schema) === build.schema,
        );
        const where = table.kind === 'present' ? table : pending;
        if (where === undefined) return [];
        return [
          {
            ...base(handOff, table.kind === 'present' ? table : undefined),
            operation: 'drop',
            schema: where.schema,
            table: where.table,
            index: index.name,
            unique: false,
            statement: concurrentDrop({ schema: where.schema, name: index.name }),
            definition: '',
          },
        ];
      });
    case 'reindex': {
      const { name, target, options } = operation;
      if (target === 'system') throw systemCatalogs(handOff);
      const targets =
        target === 'schema' || target === 'database' || name === undefined
          ? await tablesWithin(session, target === 'schema' ? name?.name : undefined)
          : await reindexTargets(session, tables[0], { target, name });
      return targets.map(({ schema, table, index }) => ({
        ...base(
          handOff,
          tables.filter((each) => each.kind === 'present').find((each) => each.table === table),
        ),
        operation: 'reindex',
        schema,
        table,
        index,
        unique: false,
        statement:
          index === ''
            ? concurrentReindex('table', { schema, name: table }, options)
            : concurrentReindex('index', { schema, name: index }, options),
        definition: '',
      }));
    }
    default:
      return operation satisfies never;
  }
}

type MeasuredTable = Exclude<TableFacts, UnknownTable>;

/** A build needs to know what its names mean, so a table that can't be looked up stops the run. */
function measured({ pending, step, tables }: HandOff): readonly MeasuredTable[] {
  return tables.map((table) => {
    if (table.kind !== 'unknown') return table;
    throw new MigrationError({
      code: 'tables-unknown',
      what: `The tables of this statement can't be looked up: ${table.because}.`,
      place: placeOf({ pending, step }),
      applied: 'the steps before this one.',
      next: table.because.includes(sqlstate.untranslatableCharacter)
        ? adviceFor({ sqlstate: sqlstate.untranslatableCharacter, message: '' }, pending.migration.file)
        : 'see to it that the SET statements before it in the file can be carried out, and that our role may use the schema; then run again.',
    });
  });
}

/** Splits a partitioned table into its partitions, which succeed, fail and are cleaned up one by one. */
async function reindexTargets(
  session: Session,
  table: MeasuredTable | undefined,
  { target, name }: { target: 'index' | 'table'; name: RelationName },
): Promise<{ readonly schema: string; readonly table: string; readonly index: string }[]> {
  if (table === undefined || table.kind === 'absent') return [];
  const { schema } = table;
  const index = target === 'index' ? name.name : '';
  if (!table.partitioned) return [{ schema, table: table.table, index }];
  return partsOf(session, { schema, name: target === 'index' ? index : table.table });
}

function base({ pending, step, runId }: HandOff, table: PresentTable | undefined) {
  return {
    version: pending.migration.version,
    step: step.number,
    runId,
    file: pending.migration.file,
    line: step.statement.position.line,
    settings: step.settings,
    partitioned: false,
    rows: table?.rows,
    bytes: table?.bytes,
  };
}

function createBuild(operation: CreateIndex, table: PresentTable, index: string) {
  return {
    operation: 'create' as const,
    schema: table.schema,
    table: table.table,
    index,
    unique: operation.unique,
    // With ONLY there is nothing to build, and nothing to split.
    partitioned: table.partitioned && !operation.only,
    statement: concurrentCreate({
      unique: operation.unique,
      index,
      table: { schema: table.schema, name: table.table },
      definition: operation.definition,
    }),
    definition: operation.definition,
  };
}

/** The first of namesOfIndex() that nothing has. */
async function freeName(
  session: Session,
  operation: CreateIndex,
  { table, builds }: { table: PresentTable; builds: readonly RecordedBuild[] },
): Promise<string> {
  const candidates = namesOfIndex(operation);
  const taken = await takenNames(session, table.schema, candidates);
  for (const build of builds) if (build.schema === table.schema) taken.add(build.index);
  return candidates.find((name) => !taken.has(name)) ?? operation.suggestedName;
}

function placeOf({ pending, step }: Pick<HandOff, 'pending' | 'step'>) {
  const { position, text } = step.statement;
  return { file: pending.migration.file, position, statement: text };
}

function systemCatalogs(handOff: HandOff): MigrationError {
  return new MigrationError({
    code: 'reindex-too-wide',
    what: 'Postgres cannot reindex system catalogs concurrently.',
    place: placeOf(handOff),
    applied: 'the steps before this one.',
    next: 'write REINDEX SYSTEM without CONCURRENTLY, and run it while nobody is connected.',
  });
}
