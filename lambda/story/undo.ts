import type { CompiledMigrations, Migration, Step } from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import { compareVersions, type Version } from '../migration/version.ts';
import type { LedgerRead } from '../postgres/ledger.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/quote.ts';
import type { Session } from '../postgres/session.ts';
import { cleanSession } from '../postgres/step-script.ts';

interface Context {
  readonly ledgerSchema: string;
  readonly migrations: CompiledMigrations;
  readonly read: LedgerRead;
  readonly sessionSettings: readonly string[];
}

/**
 * Runs the undo files of every applied migration above a version, newest first. Checked as a whole before anything is
 * touched: each has its undo file, and no build is under way. Each step is one transaction with the note that it was
 * done, so an undo that dies is continued by the same call.
 */
export async function undo(
  session: Session,
  to: Version | '0',
  context: Context,
): Promise<{ readonly undone: readonly string[] }> {
  const undone: string[] = [];
  for (const migration of migrationsToUndo(to, context)) {
    await undoOne(session, migration, context, undone);
    undone.push(migration.name);
  }
  return { undone };
}

function migrationsToUndo(to: Version | '0', { migrations, read }: Context): Migration[] {
  const { steps, builds } = read.ledger;
  const above = (version: Version) => compareVersions(version, to as Version) > 0;
  const open = builds.find(
    ({ state, version }) => above(version) && (state === 'pending' || state === 'building'),
  );
  if (open !== undefined) {
    throw refused(
      `The build of ${open.index} on ${open.table} is under way.`,
      `wait for it, or stop it: {"action": "cancel", "index": "${open.index}"}; then undo again.`,
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

async function undoOne(session: Session, migration: Migration, context: Context, undone: readonly string[]) {
  const { ledgerSchema, sessionSettings } = context;
  const s = quoteIdentifier(ledgerSchema);
  const version = quoteLiteral(migration.version);
  await session.script(
    `create table if not exists ${s}.undo_progress (version text primary key, steps int not null)`,
  );
  const [progress] = await session.query(`select steps from ${s}.undo_progress where version = $1`, [
    migration.version,
  ]);
  const done = typeof progress?.steps === 'number' ? progress.steps : 0;
  const steps = migration.undo?.steps ?? [];
  for (const step of steps.slice(done)) {
    const last = step.number === steps.length - 1;
    const note = last
      ? [
          `delete from ${s}.undo_progress where version = ${version}`,
          `delete from ${s}.index_build where version = ${version}`,
          `delete from ${s}.step where version = ${version}`,
        ]
      : [
          `insert into ${s}.undo_progress values (${version}, ${step.number + 1}) on conflict (version) do update set steps = excluded.steps`,
        ];
    for (const message of messagesOf(step, note)) {
      const { fault } = await session.script(message.join('\n;\n'));
      if (fault === undefined) continue;
      await session.script(['rollback', ...cleanSession(sessionSettings)].join(';\n'));
      throw failed(migration, { step, fault: fault.fault, undone, cause: fault });
    }
    await session.script(cleanSession(sessionSettings).join(';\n'));
  }
}

/** One message for a transaction; three for a statement that no transaction takes. */
function messagesOf(step: Step, note: readonly string[]): (readonly string[])[] {
  if (step.kind === 'transaction') {
    return [['begin', ...note, ...step.settings, ...step.statements.map(({ text }) => text), 'commit']];
  }
  const unhurried = ['set lock_timeout = 0', ...step.settings];
  return [unhurried, [step.statement.text], ['begin', ...note, 'commit']];
}

function refused(what: string, next: string): MigrationError {
  return new MigrationError({ code: 'undo-refused', what, applied: 'nothing was undone.', next });
}

interface Failure {
  readonly step: Step;
  readonly fault: { readonly sqlstate: string; readonly message: string };
  readonly undone: readonly string[];
  readonly cause: unknown;
}

function failed({ undo: file, name }: Migration, { step, fault, undone, cause }: Failure): MigrationError {
  const statement = step.kind === 'transaction' ? step.statements[0] : step.statement;
  return new MigrationError({
    code: 'undo-failed',
    what: `The undo of ${name} failed in step ${step.number + 1}.`,
    place: {
      file: file?.file ?? name,
      position: statement?.position ?? { line: 1, column: 1 },
      statement: statement?.text,
    },
    fault,
    applied: undone.length === 0 ? 'nothing was undone before it.' : `undone: ${undone.join(', ')}.`,
    next: 'correct the undo file, deploy, and undo again: it continues with this step.',
    cause,
  });
}
