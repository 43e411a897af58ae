import type { StatementFault } from './fault.ts';
import { ROLE_PATH } from './own-path.ts';
import type { Session } from './session.ts';

/**
 * Undoes what a file left in the session. DISCARD ALL would do more, but it can't share a message with other
 * statements, and would release the run lock. `own`: the settings that the session started with.
 */
export function cleanSession(own: readonly string[]): string[] {
  return [
    'reset session authorization',
    'reset role',
    'reset all',
    // As connect.ts sets it: such a database holds bytes that are no UTF-8.
    `select pg_catalog.set_config('client_encoding', 'SQL_ASCII', false)
      where pg_catalog.current_setting('server_encoding') operator(pg_catalog.=) 'SQL_ASCII'`,
    'close all',
    'unlisten *',
    'deallocate all',
    'discard temp',
    'discard sequences',
    ...own,
  ];
}

/** What a file has set, and our settings that override it. */
export interface AuthorSettings {
  /** The file's own SET statements. */
  readonly settings: readonly string[];
  /** Sent after them. */
  readonly limits: readonly string[];
  /** Settings that the session started with, to restore afterwards. */
  readonly own: readonly string[];
}

/**
 * Runs a statement that can't run in a transaction, on objects of the file's author: as the author's role, with the
 * author's settings. Restores the session afterwards. Throws only SessionLost.
 */
export async function underSettings(
  session: Session,
  { settings, limits, own }: AuthorSettings,
  statement: string,
): Promise<StatementFault | undefined> {
  if (settings.length === 0) return (await session.execute(statement)).fault;
  const prepared = await session.execute([...settings, ...limits].join('\n;\n'));
  const { fault } = prepared.fault === undefined ? await session.execute(statement) : prepared;
  await session.script(cleanSession(own).join(';\n'));
  return fault;
}

/** The same for statements in one transaction; `before` are ours, and run in it as our own role. */
export async function transactionUnderSettings(
  session: Session,
  { settings, limits, own }: AuthorSettings,
  { before, statements }: { readonly before: readonly string[]; readonly statements: readonly string[] },
): Promise<StatementFault | undefined> {
  const restore = settings.length === 0 ? [] : cleanSession(own);
  const { fault } = await session.script(
    [
      'begin',
      ...limits,
      ...before,
      ROLE_PATH,
      ...settings,
      ...limits,
      ...statements,
      'commit',
      ...restore,
    ].join('\n;\n'),
  );
  // The settings were part of the transaction, and ended with it.
  if (fault !== undefined) await session.script('rollback');
  return fault;
}
