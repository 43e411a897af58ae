import type { CompiledMigrations } from '../../lambda/migration/migration.ts';
import { defaultOptions, type MigrationOptions } from '../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../lambda/postgres/session/connection-target.ts';
import { runMigrations } from '../../lambda/run/run-migrations.ts';
import { type InProcessLoop, runLoop } from '../cli/in-process-loop.ts';

const faultOptions: MigrationOptions = { ...defaultOptions, smallTableRows: 100, lockBudgetSeconds: 10 };

/** Where to deploy, and the migrations of the deployed code. */
export interface FaultDeploy {
  readonly url: string;
  readonly migrations: CompiledMigrations;
  /** Seconds after which connecting is given up. @default 30 */
  readonly patienceSeconds?: number;
}

export function requestOf({ url, migrations, patienceSeconds }: FaultDeploy): InProcessLoop {
  return {
    migrations,
    target: parseConnectionUrl(url, 'The URL'),
    options: faultOptions,
    cause: { kind: 'cloudformation', actor: 'Update of stack faults' },
    deadline: undefined,
    // With thousands of faults, there is no pause before a build's next attempt.
    pauseSeconds: () => 0,
    report: () => {},
    ...(patienceSeconds === undefined ? {} : { patienceSeconds }),
  };
}

/** A deploy and the loop that it starts: all that happens on AWS. */
export async function deployAndLoop(given: FaultDeploy): Promise<void> {
  const request = requestOf(given);
  await runMigrations(request);
  const { outcome, message } = await runLoop(request);
  if (outcome !== 'valid') throw new Error(message);
}
