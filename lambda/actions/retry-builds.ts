import * as v from 'valibot';
import { describeBuild, isLost, namesOf } from '../migration/build.ts';
import { MigrationError } from '../migration/migration-error.ts';
import { type BuildRow, readAllBuilds, requeueBuilds } from '../postgres/ledger/build-rows.ts';
import { must } from '../postgres/ledger/ledger-write.ts';
import type { Session } from '../postgres/session/session.ts';
import { by, changingAction } from './define-action.ts';

export const retry = changingAction({
  name: 'retry',
  schema: v.strictObject({ action: v.literal('retry'), index: v.optional(v.string()), by }),
  examples: [
    ['{"action": "retry"}', 'build again all that failed or was cancelled; "index": "name" for one'],
  ],
  handsOff: true,
  done: 'retried',
  perform: (session, { index }, { ledgerSchema }) => retryBuilds(session, ledgerSchema, index),
});

/** Resets the attempts of failed and cancelled builds: of one, by its index's name, or of all. */
async function retryBuilds(
  session: Session,
  ledgerSchema: string,
  index: string | undefined,
): Promise<{ readonly retried: readonly string[] }> {
  const builds = await readAllBuilds(session, ledgerSchema);
  const over = builds.filter(isLost);
  const chosen = index === undefined ? over : over.filter((build) => namesOf(build).includes(index));
  if (index !== undefined && chosen.length === 0) throw noSuchBuild(index, builds);
  if (chosen.length > 0)
    await must(
      session,
      requeueBuilds(
        ledgerSchema,
        chosen.map(({ id }) => id),
      ),
    );
  return { retried: chosen.map(describeBuild) };
}

export function noSuchBuild(index: string, builds: readonly BuildRow[]): MigrationError {
  const names = builds
    .filter(({ state }) => state !== 'done')
    .map((build) => `${describeBuild(build)} (${build.state})`);
  return new MigrationError({
    code: 'build-unknown',
    what: `No build of '${index}' is in a state for this action.`,
    applied: 'nothing.',
    next:
      names.length === 0
        ? 'no build is unfinished, failed or cancelled.'
        : `name one of: ${names.join(', ')}.`,
  });
}
