import type { CompiledMigrations, Migration } from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import { compareVersions, type Version } from '../migration/version.ts';
import type { LedgerRead } from '../postgres/ledger/ledger.ts';
import { must } from '../postgres/ledger/ledger-write.ts';
import { quoteIdentifier } from '../postgres/session/quote.ts';
import type { Session } from '../postgres/session/session.ts';
import type { RunEvent } from '../run/run.ts';
import { undoMigration } from './undo-migration.ts';

export interface UndoContext {
  readonly ledgerSchema: string;
  readonly migrations: CompiledMigrations;
  readonly read: LedgerRead;
  readonly sessionSettings: readonly string[];
  readonly lockTimeoutSeconds: number;
  readonly deadline: number | undefined;
  readonly report: (event: RunEvent) => void;
}

/**
 * Runs the undo files of every applied migration above a version, newest first. Checked as a whole before anything is
 * touched: each has its undo file, and no build is under way. Each step is noted with what it does, so an undo that
 * dies is continued by the same call.
 */
export async function undo(
  session: Session,
  to: Version,
  context: UndoContext,
): Promise<{ readonly undone: readonly string[] }> {
  const migrations = migrationsToUndo(to, context);
  const undone: string[] = [];
  if (migrations.length > 0) await must(session, createUndoProgress(context.ledgerSchema));
  for (const migration of migrations) {
    await undoMigration(session, migration, { ...context, undone });
    undone.push(migration.name);
  }
  return { undone };
}

/** How far an undo came that was cut short: made with the first undo, since most ledgers never see one. */
function createUndoProgress(ledgerSchema: string): string {
  return `create table if not exists ${quoteIdentifier(ledgerSchema)}.undo_progress (
  version text primary key,
  steps int not null,
  started boolean not null default false
)`;
}

function migrationsToUndo(to: Version, { migrations, read }: UndoContext): Migration[] {
  const { steps, builds } = read.ledger;
  const above = (version: Version) => compareVersions(version, to) > 0;
  const open = builds.find(
    ({ state, version }) => above(version) && (state === 'pending' || state === 'building'),
  );
  if (open !== undefined) {
    const name = open.index || open.table;
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
      `${without.name} has no undo file.`,
      `write ${without.name}.down.sql beside it and deploy, or choose a version at or above ${without.version}.`,
    );
  }
  return known;
}

function refused(what: string, next: string): MigrationError {
  return new MigrationError({ code: 'undo-refused', what, applied: 'nothing was undone.', next });
}
