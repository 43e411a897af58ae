import { isLost, type Operation, type RecordedBuild } from './build.ts';
import {
  type LongStatement,
  type Migration,
  type Statement,
  type Step,
  statementsOf,
  type Touches,
} from './migration.ts';
import type { PendingStep } from './plan.ts';
import type { RelationName } from './relation-name.ts';

/** Why a step can't run before a build is valid. */
export interface Wait {
  readonly build: RecordedBuild;
  readonly because: string;
}

/** The first build, if any, for which a step must wait. */
export function waitOf(pending: Waiting, builds: readonly RecordedBuild[]): Wait | undefined {
  return waitsOf(pending, builds)[0];
}

/** What is pending; a `rewritten` step has a row already, of a file that was another then. */
interface Waiting {
  readonly migration: Migration;
  readonly step: Step;
  readonly record?: PendingStep['record'];
}

/**
 * All builds for which a step must wait: its DDL touches the build's table, it names the index, it may need it, or
 * nobody can see into it.
 */
export function waitsOf(
  { migration, step, record }: Waiting,
  builds: readonly RecordedBuild[],
): readonly Wait[] {
  const waits = new Map<RecordedBuild, string>();
  const wait = (build: RecordedBuild, because: string): void => {
    if (!waits.has(build)) waits.set(build, because);
  };
  if (record === 'rewritten') {
    // Its rows are replaced with those of the new statement, and those that are at work are not to be lost.
    for (const build of builds) {
      if (build.version === migration.version && build.step === step.number && !isLost(build))
        wait(build, 'the file was changed while one of its builds is under way');
    }
  }
  if (migration.waitsForBuilds) {
    for (const build of builds)
      if (build.version !== migration.version) wait(build, 'the file says `-- migrate: wait`');
  }
  if (step.kind === 'index-operation') {
    // In the queue it would find no index yet, and nothing to build again.
    const { operation } = step;
    const name = operation.kind === 'reindex' && operation.target === 'index' ? operation.name : undefined;
    for (const build of builds) {
      if (
        build.operation === 'create' &&
        build.state !== 'done' &&
        name !== undefined &&
        isIndex(name, build)
      )
        wait(build, `it names the index ${build.index}`);
    }
  } else {
    for (const statement of statementsOf(step)) {
      for (const build of builds) {
        // What the loop carries queues up behind the work of its table instead of waiting.
        const because =
          step.long === undefined ? whyItWaits(statement, build) : whyWorkWaits(step.long, statement, build);
        if (because !== undefined) wait(build, because);
      }
    }
  }
  return [...waits].map(([build, because]) => ({ build, because }));
}

function whyItWaits({ touches, kind }: Statement, build: RecordedBuild): string | undefined {
  if (build.operation === 'statement') return `it comes after a statement that was handed off`;
  if (touches.opaque) return `nobody can see into ${opaqueName(kind)}`;
  if (touches.changes.some((relation) => isTable(relation, build)))
    return `it changes the table ${build.table}`;
  if (build.operation === 'backfill' && touches.partOf?.some((relation) => isTable(relation, build)))
    return `it changes a part of the table ${build.table}`;
  if (isRefresh(build.operation) && touches.rows?.relations.some((relation) => isTable(relation, build)))
    return `it reads ${build.table}`;
  if (build.operation === 'detach' && touches.changes.some((relation) => isIndex(relation, build)))
    return `it changes the partition ${build.index}`;
  if (touches.indexes.some((relation) => isIndex(relation, build)))
    return `it names the index ${build.index}`;
  if (build.unique && touches.upserts.some((relation) => isTable(relation, build)))
    return `its ON CONFLICT may need the unique index ${build.index}`;
  return build.operation === 'backfill' ? whyItNeedsRows(touches, build) : undefined;
}

/** Work that needs the rows of a backfill of another table. */
function whyWorkWaits(
  { operation, relation }: LongStatement,
  { touches }: Statement,
  build: RecordedBuild,
): string | undefined {
  if (build.operation !== 'backfill' || (relation !== undefined && isTable(relation, build)))
    return undefined;
  if (isRefresh(operation) || operation === 'validate-domain')
    return `the rows that it reads may be those of ${build.table}`;
  return whyItNeedsRows(touches, build);
}

function isRefresh(operation: Operation): boolean {
  return operation === 'refresh' || operation === 'refresh-concurrently';
}

/** A backfill fills these columns, or adds rows to this table; all rows of its table change where there are none. */
function whyItNeedsRows({ changes, writes, rows }: Touches, build: RecordedBuild): string | undefined {
  const filled = build.index === '' ? [] : build.index.split(', ');
  const target = [...changes, ...(rows?.relations ?? [])].find(({ name }) => filled.includes(name));
  if (target !== undefined) return `it needs the rows of ${target.name}`;
  if (rows === undefined || !rows.relations.some((relation) => isTable(relation, build))) return undefined;
  if (writes.some((relation) => isTable(relation, build)))
    return `it writes rows of the table ${build.table}, too`;
  const needed = filled.find((column) => rows.columns.includes(column) || rows.columns.includes('*'));
  if (needed !== undefined) return `it reads ${needed} of the table ${build.table}`;
  return filled.length === 0 ? `it reads the table ${build.table}` : undefined;
}

/** A build of the same table, or of the index that is to be dropped, has not had its turn yet: this one comes after. */
export function queuesUp(step: Step, builds: readonly RecordedBuild[]): boolean {
  const statements = statementsOf(step);
  const changes = statements.flatMap(({ touches }) => touches.changes);
  const indexes = statements.flatMap(({ touches }) => touches.indexes);
  return builds.some(
    (build) =>
      build.state !== 'done' &&
      (changes.some((relation) => isTable(relation, build)) ||
        indexes.some((relation) => isIndex(relation, build))),
  );
}

function opaqueName(kind: string): string {
  switch (kind) {
    case 'DoStmt':
      return 'a DO block';
    case 'CallStmt':
      return 'a CALL';
    default:
      return 'what this statement reaches';
  }
}

/** A name without a schema may be the build's table or not; when in doubt it is, and the step waits. */
function isTable(relation: RelationName, build: RecordedBuild): boolean {
  return relation.name === build.table && (relation.schema ?? build.schema) === build.schema;
}

function isIndex(relation: RelationName, build: RecordedBuild): boolean {
  return relation.name === build.index && (relation.schema ?? build.schema) === build.schema;
}
