import { isLost, type RecordedBuild } from './build.ts';
import { type Migration, type Statement, type Step, statementsOf } from './migration.ts';
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
        wait(build, 'the file was changed while a build of it goes on');
    }
  }
  if (migration.waitsForBuilds) {
    for (const build of builds)
      if (build.version !== migration.version) wait(build, 'the file says `-- migrate: wait`');
  }
  // What the loop carries queues up behind the work of its table instead of waiting. Who knows what a statement does.
  if (step.kind !== 'index-operation' && step.long === undefined) {
    for (const statement of statementsOf(step)) {
      for (const build of builds) {
        const because = whyItWaits(statement, build);
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
  if (build.operation === 'detach' && touches.changes.some((relation) => isIndex(relation, build)))
    return `it changes the partition ${build.index}`;
  if (touches.indexes.some((relation) => isIndex(relation, build)))
    return `it names the index ${build.index}`;
  if (build.unique && touches.upserts.some((relation) => isTable(relation, build)))
    return `its ON CONFLICT may need the unique index ${build.index}`;
  return undefined;
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
