import { MigrationError } from './migration-error.ts';
import type { MigrationOptions } from './options.ts';
import type { Plan } from './plan.ts';

/** The folder and the ledger differ in a way that the options refuse. */
export class FolderRefused extends MigrationError {
  override readonly name = 'FolderRefused';
}

type Policy = Pick<MigrationOptions, 'lateMigrations' | 'missingMigrations'>;

/** What the options do not allow in a plan: late files, missing applied files. */
export function folderFaults(
  { late, unknown, newest }: Plan,
  { lateMigrations, missingMigrations }: Policy,
): readonly FolderRefused[] {
  const faults: FolderRefused[] = [];
  const [first] = late;
  if (lateMigrations === 'refuse' && first !== undefined) {
    const files = late.map(({ file }) => file).join(', ');
    faults.push(
      new FolderRefused({
        code: 'late-migration',
        what: `${files}: pending, and older than the newest applied migration, version ${newest}; lateMigrations is 'refuse'.`,
        applied: 'nothing by this run.',
        next: `give ${late.length === 1 ? 'it a version' : 'them versions'} above ${newest}; or let them be applied: lateMigrations: 'apply' (on the command line --late apply).`,
      }),
    );
  }
  const [missing] = unknown;
  if (missingMigrations === 'refuse' && missing !== undefined) {
    const names = unknown.map(({ name }) => name).join(', ');
    const { version } = missing;
    faults.push(
      new FolderRefused({
        code: 'missing-migration',
        what: `${names}: applied, and not in this folder; missingMigrations is 'refuse'.`,
        applied: 'nothing by this run.',
        next: `bring the file${unknown.length === 1 ? '' : 's'} back; or have the ledger forget what is gone permanently: {"action": "repair", "version": "${version}", "forget": true, "confirm": true}, on the command line repair ${version} --forget --confirm; or let files be missing: missingMigrations: 'ignore' (--missing ignore).`,
      }),
    );
  }
  return faults;
}

/** @throws FolderRefused */
export function refuseFolder(plan: Plan, policy: Policy): void {
  const [fault] = folderFaults(plan, policy);
  if (fault !== undefined) throw fault;
}
