import * as v from 'valibot';
import { type BuildState, describeBuild, isStopped, namesOf } from '../migration/build.ts';
import { type BuildRow, readAllBuilds } from '../postgres/ledger/build-rows.ts';
import { quoteIdentifier } from '../postgres/session/quote.ts';
import type { Session } from '../postgres/session/session.ts';
import { by, changingAction } from './define-action.ts';
import { noSuchBuild } from './retry-builds.ts';

const index = v.optional(v.string());

export const pause = changingAction({
  name: 'pause',
  schema: v.strictObject({ action: v.literal('pause'), index, by }),
  examples: [
    ['{"action": "pause"}', 'pause work that has not begun, and backfills; "index": "name" for one'],
  ],
  done: 'paused',
  perform: async (session, action, { ledgerSchema }) => ({
    paused: await setState(session, ledgerSchema, { ...action, which: isPausable, to: () => 'paused' }),
  }),
});

export const resume = changingAction({
  name: 'resume',
  schema: v.strictObject({ action: v.literal('resume'), index, by }),
  examples: [['{"action": "resume"}', 'continue all paused work; "index": "name" for one']],
  handsOff: true,
  done: 'resumed',
  perform: async (session, action, { ledgerSchema }) => ({
    resumed: await setState(session, ledgerSchema, {
      ...action,
      which: isStopped,
      to: ({ attempts, operation }) => (operation === 'backfill' && attempts > 0 ? 'building' : 'pending'),
    }),
  }),
});

/** A backfill can pause between two batches; any other work only before it begins. */
function isPausable({ state, operation }: BuildRow): boolean {
  return state === 'pending' || (state === 'building' && operation === 'backfill');
}

interface Change {
  /** One of its names; absent for all. */
  readonly index?: string | undefined;
  readonly which: (build: BuildRow) => boolean;
  readonly to: (build: BuildRow) => BuildState;
}

/** Returns what it changed. Compares the state in the same statement, so a turn that starts meanwhile wins or loses. */
async function setState(
  session: Session,
  ledgerSchema: string,
  { index, which, to }: Change,
): Promise<string[]> {
  const builds = await readAllBuilds(session, ledgerSchema);
  const chosen = builds.filter(
    (build) => which(build) && (index === undefined || namesOf(build).includes(index)),
  );
  const changed: string[] = [];
  for (const build of chosen) {
    const rows = await session.query(
      `update ${quoteIdentifier(ledgerSchema)}.work set state = $3 where id = $1 and state = $2 returning id`,
      [build.id, build.state, to(build)],
    );
    if (rows.length > 0) changed.push(describeBuild(build));
  }
  if (index !== undefined && changed.length === 0) throw noSuchBuild(index, builds);
  return changed;
}
