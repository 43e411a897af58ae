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

/** An index operation, the tables it concerns as they are now, and the builds that are pending already. */
export interface HandOff {
  readonly pending: PendingStep;
  readonly step: IndexOperationStep;
  /** One for each relation of relationsOf(), in that order. */
  readonly tables: readonly TableFacts[];
  readonly builds: readonly RecordedBuild[];
  readonly runId: string;
}

/** The builds that an index operation becomes: one per index that it drops, one per table that it reindexes, of a whole schema too. */
export async function buildsOf(session: Session, handOff: HandOff): Promise<NewBuild[]> {
  const { step, builds } = handOff;
  const { operation } = step;
  const tables = known(handOff);
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

type KnownTable = Exclude<TableFacts, UnknownTable>;

/** A build needs to know what its names mean: what can't be looked up when its turn comes stops the run. */
function known({ pending, step, tables }: HandOff): readonly KnownTable[] {
  return tables.map((table) => {
    if (table.kind !== 'unknown') return table;
    throw new MigrationError({
      code: 'tables-unknown',
      what: `The tables of this statement can't be looked up: ${table.because}.`,
      place: {
        file: pending.migration.file,
        position: step.statement.position,
        statement: step.statement.text,
      },
      applied: 'the steps before this one.',
      next: table.because.includes(sqlstate.untranslatableCharacter)
        ? adviceFor({ sqlstate: sqlstate.untranslatableCharacter, message: '' }, pending.migration.file)
        : 'see to it that the SET statements before it in the file can be carried out, and that our role may use the schema; then run again.',
    });
  });
}

/** What is partitioned is taken apart: each part succeeds, fails and is cleared away by itself. */
async function reindexTargets(
  session: Session,
  table: KnownTable | undefined,
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
    // On ONLY the parent there is nothing to build, and nothing to take apart.
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

/** The first that nothing bears, as Postgres chooses. */
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

function systemCatalogs({ pending, step }: HandOff): MigrationError {
  return new MigrationError({
    code: 'reindex-too-wide',
    what: 'Postgres cannot reindex system catalogs concurrently.',
    place: {
      file: pending.migration.file,
      position: step.statement.position,
      statement: step.statement.text,
    },
    applied: 'the steps before this one.',
    next: 'write REINDEX SYSTEM without CONCURRENTLY, and run it while nobody is connected.',
  });
}
