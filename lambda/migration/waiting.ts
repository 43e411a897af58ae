import type { RecordedBuild } from './build.ts';
import {
  type IndexOperationStep,
  type Migration,
  type Statement,
  type Step,
  statementsOf,
} from './migration.ts';
import type { RelationName } from './relation-name.ts';

/** Why a step can't run before a build is valid. */
export interface Wait {
  readonly build: RecordedBuild;
  readonly because: string;
}

/**
 * The build, if any, for which a step must wait: its DDL touches the build's table, it names the index, it
 * may need it, or nobody can see into it.
 */
export function waitOf(
  { migration, step }: { migration: Migration; step: Step },
  builds: readonly RecordedBuild[],
): Wait | undefined {
  const [first] = builds;
  if (first === undefined) return undefined;
  if (migration.waitsForBuilds) {
    const other = builds.find((build) => build.version !== migration.version);
    if (other !== undefined) return { build: other, because: 'the file says `-- migrate: wait`' };
  }
  // An index operation queues up behind the builds of its table instead of waiting.
  if (step.kind === 'index-operation') return undefined;
  for (const statement of statementsOf(step)) {
    const wait = waitOfStatement(statement, builds);
    if (wait !== undefined) return wait;
  }
  return undefined;
}

function waitOfStatement({ touches, kind }: Statement, builds: readonly RecordedBuild[]): Wait | undefined {
  for (const build of builds) {
    if (touches.opaque) return { build, because: `nobody can see into ${opaqueName(kind)}` };
    if (touches.changes.some((relation) => isTable(relation, build))) {
      return { build, because: `it changes the table ${build.table}` };
    }
    if (touches.indexes.some((relation) => isIndex(relation, build))) {
      return { build, because: `it names the index ${build.index}` };
    }
    if (build.unique && touches.upserts.some((relation) => isTable(relation, build))) {
      return { build, because: `its ON CONFLICT may need the unique index ${build.index}` };
    }
  }
  return undefined;
}

/** A build of the same table, or of the index that is to be dropped, has not had its turn yet: this one comes after. */
export function queuesUp({ statement }: IndexOperationStep, builds: readonly RecordedBuild[]): boolean {
  const { changes, indexes } = statement.touches;
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
