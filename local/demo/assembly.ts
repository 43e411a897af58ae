import { fork } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MigrationError } from '../../lambda/migration/migration-error.ts';

export const SECRET_NAME = 'postgres-migrations/database';

/** One assembly to write. */
export interface Synthesis {
  readonly migrations: string;
  readonly outdir: string;
  readonly maxConcurrentTables: number;
}

/** What the process that synthesizes is told, as JSON. */
export interface SynthesisOrder {
  readonly syntheses: readonly Synthesis[];
  /** For what is written meanwhile. */
  readonly temporary: string;
}

/**
 * Writes what `cdk synth` would for each folder of migrations: template and assets. That keeps a processor busy for
 * some seconds, so it is done in another process, where nothing else has to wait for it.
 */
export async function synthesize(order: SynthesisOrder, signal: AbortSignal): Promise<void> {
  const program = fileURLToPath(new URL('synthesize.ts', import.meta.url));
  const child = fork(program, [JSON.stringify(order)], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    signal,
  });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    said += chunk;
  });
  const [code] = await once(child, 'close');
  if (code === 0) return;
  throw new MigrationError({
    code: 'synth-failed',
    what: `The stack could not be synthesized: ${said.trim()}`,
    next: 'fix what the message above names, then start again.',
  });
}

/** The release before: the tables only, as they have been in use for a while. */
export function earlierRelease(migrations: string, directory: string): string {
  mkdirSync(directory, { recursive: true });
  for (const file of readdirSync(migrations)) {
    if (/^000[1-4]_/.test(file)) cpSync(join(migrations, file), join(directory, file));
  }
  return directory;
}
