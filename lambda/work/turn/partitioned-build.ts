import type { PostgresFault } from '../../migration/postgres-fault.ts';
import { withDetail, withWords } from '../../migration/postgres-fault.ts';
import { inTheWay, sqlstate } from '../../migration/sqlstate.ts';
import { seeIndex } from '../../postgres/catalog/index-catalog.ts';
import { concurrentCreate } from '../../postgres/catalog/index-statement.ts';
import {
  attachPartition,
  createOnOnly,
  equalIndexes,
  partitionIndexName,
  readTree,
  type TreeNode,
} from '../../postgres/catalog/partition-tree.ts';
import { insertBuild } from '../../postgres/ledger/new-build.ts';
import { partitionBuilds } from '../../postgres/ledger/partition-builds.ts';
import { transactionUnderSettings } from '../../postgres/session/author-settings.ts';
import { quoteIdentifier, quoteLiteral, quoteRelation } from '../../postgres/session/quote.ts';
import type { Session } from '../../postgres/session/session.ts';
import type { Build } from '../build.ts';
import { conflictFault } from '../decide.ts';
import { leftStanding } from './drop-left-overs.ts';

export type PartitionedStep =
  /** Its partitions are separate builds now; its next turn comes when they have ended. */
  | { readonly kind: 'partitions-first' }
  | { readonly kind: 'valid'; readonly adopted: boolean }
  | { readonly kind: 'failed'; readonly fault: PostgresFault }
  /** All partitions' indexes are attached: look again at once. */
  | { readonly kind: 'attached' }
  /** A lock was taken. */
  | Again;

interface Again {
  readonly kind: 'again';
}

export interface PartitionedTurn {
  readonly ledgerSchema: string;
  /** Settings that the session started with. */
  readonly own: readonly string[];
}

/**
 * Postgres refuses CREATE INDEX CONCURRENTLY on a partitioned table, so it is done in parts: an index on ONLY the
 * parent, INVALID at first; a concurrent build for each partition, attached when valid. With the last one the parent's
 * index becomes valid. Partitions created meanwhile get theirs from Postgres, since the parent's index exists. Call it
 * under the table lock, until it has ended.
 */
export async function advancePartitioned(
  session: Session,
  build: Build,
  turn: PartitionedTurn,
): Promise<PartitionedStep> {
  const { ledgerSchema } = turn;
  const seen = await seeIndex(session, build);
  if (seen.kind === 'valid') return { kind: 'valid', adopted: build.attempts === 0 };
  if (seen.kind === 'conflict') return { kind: 'failed', fault: conflictFault(seen) };
  const known = await partitionBuilds(session, ledgerSchema, build.id);
  const failed = [...known].find(([, { fault }]) => fault !== undefined);
  if (failed !== undefined) {
    const fault = failure(failed[0], failed[1].fault);
    return seen.kind === 'invalid' && build.attempts > 0 ? endWithout(session, build, turn, fault) : fault;
  }
  const foreign = (await readTree(session, build)).find((node) => node.foreign);
  if (foreign !== undefined) return foreignPartition(foreign);
  const made = (await makeRoot(session, build, turn)) ?? (await makeNested(session, build, turn));
  if (made !== undefined) return made;
  return handOffOrAttach(session, turn, {
    build,
    known: new Map(
      [...known].flatMap(([table, { index, present }]) => (present ? [[table, index] as const] : [])),
    ),
  });
}

/** With ON ONLY, Postgres waits for an index on each partition, and a foreign table never gets one. */
function foreignPartition({ schema, table }: TreeNode): PartitionedStep {
  return {
    kind: 'failed',
    fault: {
      sqlstate: sqlstate.featureNotSupported,
      message: `the partition ${schema}.${table} is a foreign table, so that an index on the whole cannot be built concurrently`,
      hint: 'Build it on each other partition by a CREATE INDEX CONCURRENTLY of its own, then write CREATE INDEX on the whole without CONCURRENTLY: it takes those over, and is quick.',
    },
  };
}

type Failed = Extract<PartitionedStep, { kind: 'failed' }>;

const NO_OUTCOME: PostgresFault = { sqlstate: sqlstate.systemError, message: 'no outcome' };

function failure(table: string, fault: PostgresFault | undefined): Failed {
  return {
    kind: 'failed',
    fault: {
      ...withWords(`the build on the partition ${table} failed`, fault ?? NO_OUTCOME),
      hint: 'The indexes on other partitions are kept; a retry continues with the rest.',
    },
  };
}

/**
 * If a partition's build failed, the INVALID index on ONLY the parent is dropped; the partitions' indexes are not
 * attached to it yet, so they stay, and a retry attaches them.
 */
function dropParent(
  session: Session,
  build: Build,
  { own }: PartitionedTurn,
): Promise<Again | Failed | undefined> {
  const { schema, index } = build;
  const statements = [`drop index if exists ${quoteRelation({ schema, name: index })}`];
  return send(session, build, { before: [], statements, own });
}

/**
 * A failed build leaves no INVALID index, unless dropping it would also drop attached indexes that existed before and
 * are not ours.
 */
async function endWithout(
  session: Session,
  build: Build,
  turn: PartitionedTurn,
  failed: Failed,
): Promise<PartitionedStep> {
  const tree = await readTree(session, build);
  const takenOver = tree.find(
    ({ attachedIndex, attachedIsOlder, table }) =>
      attachedIndex !== undefined &&
      attachedIsOlder &&
      attachedIndex !== partitionIndexName(table, build.index),
  );
  if (takenOver === undefined) return parentStands(await dropParent(session, build, turn), build, failed);
  const stays = `The index ${build.schema}.${build.index} stays, INVALID: ${takenOver.schema}.${takenOver.attachedIndex}, which was there before, is attached to it and would go with it.`;
  return {
    kind: 'failed',
    fault: {
      ...withDetail(failed.fault, stays, stays),
      hint: failed.fault.hint ?? 'A retry continues with the remaining partitions.',
    },
  };
}

/** The original fault is kept, even if the index could not be dropped. */
function parentStands(dropped: Again | Failed | undefined, build: Build, failed: Failed): PartitionedStep {
  if (dropped?.kind !== 'failed') return dropped ?? failed;
  const leftOver = { schema: build.schema, name: build.index };
  return {
    kind: 'failed',
    fault: leftStanding({ kind: 'refused', leftOver, fault: dropped.fault }, failed.fault),
  };
}

/** Creates the index on ONLY the root, with which equal indexes on partitions can be recognized. */
async function makeRoot(
  session: Session,
  build: Build,
  { ledgerSchema, own }: PartitionedTurn,
): Promise<Again | Failed | undefined> {
  const [root] = await readTree(session, build);
  if (root === undefined || root.attachedIndex !== undefined) return undefined;
  const s = quoteIdentifier(ledgerSchema);
  const before = [
    `update ${s}.work set state = 'building', attempts = attempts + 1,
            started_at = coalesce(started_at, pg_catalog.clock_timestamp()),
            first_started_at = coalesce(first_started_at, pg_catalog.clock_timestamp())
      where id = ${quoteLiteral(build.id)}`,
  ];
  return send(session, build, { before, statements: [createOnOnly(build, root, build.index)], own });
}

/** Creates the index on ONLY each nested partitioned table without an equal one, attached to its parent's. */
async function makeNested(
  session: Session,
  build: Build,
  { own }: PartitionedTurn,
): Promise<Again | Failed | undefined> {
  const tree = withoutTakenOver(await readTree(session, build), await equalIndexes(session, build));
  const indexes = new Map<number, { schema: string; index: string }>();
  const statements: string[] = [];
  for (const node of tree) {
    if (node.attachedIndex !== undefined)
      indexes.set(node.oid, { schema: node.schema, index: node.attachedIndex });
    const parent = node.parent === undefined ? undefined : indexes.get(node.parent);
    if (node.leaf || node.attachedIndex !== undefined || parent === undefined) continue;
    const index = partitionIndexName(node.table, build.index);
    statements.push(
      createOnOnly(build, node, index),
      attachPartition(parent, { schema: node.schema, index }),
    );
    indexes.set(node.oid, { schema: node.schema, index });
  }
  return statements.length === 0 ? undefined : send(session, build, { before: [], statements, own });
}

/** The tables that need an index: not those with an equal one, nor anything below them. */
function withoutTakenOver(
  tree: readonly TreeNode[],
  standing: ReadonlyMap<number, string>,
): readonly TreeNode[] {
  const takenOver = new Set<number>();
  return tree.filter(({ oid, parent, attachedIndex }) => {
    const below = parent !== undefined && takenOver.has(parent);
    if (below || (attachedIndex === undefined && standing.has(oid))) takenOver.add(oid);
    return !takenOver.has(oid);
  });
}

interface Partitions {
  readonly build: Build;
  /** Index names of the partitions' builds, all of which are valid, by `schema.table`. */
  readonly known: ReadonlyMap<string, string>;
}

async function handOffOrAttach(
  session: Session,
  turn: PartitionedTurn,
  { build, known }: Partitions,
): Promise<PartitionedStep> {
  const { ledgerSchema, own } = turn;
  const tree = await readTree(session, build);
  const indexes = new Map(
    tree.flatMap(({ oid, schema, attachedIndex }) =>
      attachedIndex === undefined ? [] : [[oid, { schema, index: attachedIndex }]],
    ),
  );
  const standing = await equalIndexes(session, build);
  const ofOurs = withoutTakenOver(tree, standing);
  const missing = ofOurs.filter(({ leaf, attachedIndex }) => leaf && attachedIndex === undefined);
  const attach: string[] = [];
  const handOff: string[] = [];
  for (const node of missing) {
    const index = known.get(`${node.schema}.${node.table}`);
    const parent = node.parent === undefined ? undefined : indexes.get(node.parent);
    if (index === undefined) handOff.push(insertBuild(ledgerSchema, partitionBuild(build, node)));
    else if (parent !== undefined) attach.push(attachPartition(parent, { schema: node.schema, index }));
  }
  // Indexes that existed before, and ours of an earlier attempt; attached last, since new ones can be dropped again.
  for (const node of tree) {
    const index = standing.get(node.oid);
    const parent = node.parent === undefined ? undefined : indexes.get(node.parent);
    if (index === undefined || node.attachedIndex !== undefined || parent === undefined) continue;
    if (!attach.some((each) => each === attachPartition(parent, { schema: node.schema, index })))
      attach.push(attachPartition(parent, { schema: node.schema, index }));
  }
  // Only when no build is left, so that a failure loses none of them. Each in its own transaction: attaching locks a
  // partition for a moment, and must not wait while it holds another's lock.
  for (const statement of handOff.length === 0 ? attach : []) {
    const step = await send(session, build, { before: [], statements: [statement], own });
    if (step?.kind === 'failed') return endWithout(session, build, turn, step);
    if (step !== undefined) return step;
  }
  if (handOff.length === 0 && attach.length > 0) return { kind: 'attached' };
  if (handOff.length === 0) return neverValid(session, build, turn);
  return (
    (await send(session, build, { before: handOff, statements: [], own })) ?? { kind: 'partitions-first' }
  );
}

/**
 * Each partition has its index, and yet the whole is INVALID: Postgres checks completeness when an index is attached,
 * but not when the missing partition is detached. Only a new index helps.
 */
async function neverValid(session: Session, build: Build, turn: PartitionedTurn): Promise<PartitionedStep> {
  if ((await seeIndex(session, build)).kind === 'valid') return { kind: 'attached' };
  return endWithout(session, build, turn, {
    kind: 'failed',
    fault: {
      sqlstate: sqlstate.objectNotInPrerequisiteState,
      message: 'a partition was detached while the index was built, and Postgres cannot make the rest valid',
      hint: 'The index was dropped; a retry builds it again.',
    },
  });
}

function partitionBuild(build: Build, node: TreeNode) {
  const index = partitionIndexName(node.table, build.index);
  const { version, step, runId, file, line, unique, definition, settings } = build;
  return {
    version,
    step,
    runId,
    file,
    line,
    operation: 'create' as const,
    schema: node.schema,
    table: node.table,
    index,
    unique,
    statement: concurrentCreate({
      unique,
      index,
      table: { schema: node.schema, name: node.table },
      definition,
    }),
    definition,
    settings,
    partitioned: false,
    parentBuild: build.id,
    rows: undefined,
    bytes: undefined,
  };
}

/**
 * While it waits for a lock, the application's writes queue behind it: at first for a moment, in later turns longer.
 */
const FIRST_WAIT_MILLISECONDS = 200;
const LONGEST_WAIT_MILLISECONDS = 3_000;

interface Message {
  /** Our own statements, on the ledger. */
  readonly before: readonly string[];
  /** Statements on the table and its indexes, under the file's settings. */
  readonly statements: readonly string[];
  readonly own: readonly string[];
}

/** Runs one short transaction; undefined if it succeeded. */
async function send(
  session: Session,
  { turns, settings }: Build,
  { before, statements, own }: Message,
): Promise<Again | Failed | undefined> {
  const wait = Math.min(LONGEST_WAIT_MILLISECONDS, FIRST_WAIT_MILLISECONDS * Math.max(1, turns));
  const fault = await transactionUnderSettings(
    session,
    {
      settings: statements.length === 0 ? [] : settings,
      limits: [`set local lock_timeout = ${wait}`, 'set local statement_timeout = 0'],
      own,
    },
    { before, statements },
  );
  if (fault === undefined) return undefined;
  if (inTheWay.has(fault.fault.sqlstate)) return { kind: 'again' };
  return { kind: 'failed', fault: fault.fault };
}
