import * as v from 'valibot';
import { isOpen, nameOf } from '../migration/build.ts';
import { FolderOrder } from '../migration/identity.ts';
import type { Migration } from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import type { Version } from '../migration/version.ts';
import type { Session } from '../postgres/session/session.ts';
import { type ActionContext, by, changingAction, confirm, version } from './define-action.ts';
import { undoMigration } from './undo-migration.ts';

export const undo = changingAction({
  name: 'undo',
  schema: v.strictObject({ action: v.literal('undo'), to: version, confirm, by }),
  examples: [
    [
      '{"action": "undo", "to": "6", "confirm": true}',
      'run the undo files of all later versions, newest first',
    ],
  ],
  needsConfirmation: true,
  done: 'undone',
  perform: (session, { to }, context) => undoDownTo(session, to, context),
});

/**
 * Runs the undo files of every applied migration above a version, newest first. Checks first that each has its undo
 * file and that no build is under way. Each step is recorded together with its effect, so the same call continues an
 * undo that died.
 */
async function undoDownTo(
  session: Session,
  to: Version,
  context: ActionContext,
): Promise<{ readonly undone: readonly string[] }> {
  const migrations = migrationsToUndo(to, context);
  const undone: string[] = [];
  for (const migration of migrations) {
    await undoMigration(session, migration, { ...context, undone });
    undone.push(migration.name);
  }
  return { undone };
}

function migrationsToUndo(to: Version, { migrations, read }: ActionContext): Migration[] {
  const { steps, builds } = read.ledger;
  const places = new FolderOrder(migrations.migrations, migrations.order ?? 'number');
  const above = (version: Version) => {
    const order = places.compare(version, to);
    if (order === undefined) throw unknownTarget(to, version);
    return order > 0;
  };
  const open = builds.find((build) => above(build.version) && isOpen(build));
  if (open !== undefined) {
    const name = nameOf(open);
    throw refused(
      `The build of ${name} on ${open.table} is under way.`,
      `wait for it, or stop it: {"action": "cancel", "index": "${name}"}; then undo again.`,
    );
  }
  const recorded = new Set(steps.map(({ version }) => version).filter(above));
  const known = migrations.migrations.filter(({ version }) => recorded.has(version)).reverse();
  const unknown = [...recorded].find((version) => !known.some((migration) => migration.version === version));
  if (unknown !== undefined) {
    throw refused(
      `Version ${unknown} is applied, but this code does not have it.`,
      'undo with the code that has it.',
    );
  }
  const without = known.find((migration) => migration.undo === undefined);
  if (without !== undefined) {
    throw refused(
      without.undoProblem === undefined
        ? `${without.name} has no undo file.`
        : `The undo file of ${without.name} can't be read: ${without.undoProblem}`,
      `${without.undoProblem === undefined ? `write ${without.name}.down.sql beside it` : 'fix it'} and deploy, or choose a version at or above ${without.version}.`,
    );
  }
  return known;
}

function unknownTarget(to: Version, version: Version): MigrationError {
  return refused(
    `Nothing tells whether ${version} was applied after ${to}: one of the two is not in this code.`,
    'name a migration of this folder; the action status shows them.',
  );
}

function refused(what: string, next: string): MigrationError {
  return new MigrationError({ code: 'undo-refused', what, applied: 'nothing was undone.', next });
}
