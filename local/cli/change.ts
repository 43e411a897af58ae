import type { Command } from 'commander';
import { type ChangingAction, isChanging, parseAction, recordOf } from '../../lambda/actions/action.ts';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import { type DatabaseFlags, withDatabaseFlags, withDeployedFlags, withJson } from './database-options.ts';
import { type ExitCode, exitCode } from './exit-code.ts';
import { answered } from './failure.ts';
import type { Place } from './place.ts';
import { placeOf } from './place-of.ts';
import { RunDisplay } from './run-display.ts';
import { Terminal } from './terminal.ts';

/** A verb that changes what is recorded or applied: an action as the deployed function has it, from a terminal. */
export interface ChangeFlags extends DatabaseFlags {
  readonly confirm?: boolean;
  readonly yes?: boolean;
}

export function withConfirm(command: Command): Command {
  return withJson(withDeployedFlags(withDatabaseFlags(command)))
    .option('--confirm', 'yes, do it: without this it only says what it would need')
    .option('--yes', 'the same');
}

export const CHANGE_EXIT_CODES = `
Exit codes:
  0  done
  1  it was refused, or failed
  2  the command itself is wrong, or not confirmed; nothing was touched`;

export interface Change {
  readonly flags: ChangeFlags;
  /** As the deployed function takes it, but for the confirmation. */
  readonly event: { readonly action: ChangingAction['action'] } & Readonly<Record<string, unknown>>;
  /** What to do when it is done. @default nothing */
  readonly then?: (place: Place, terminal: Terminal) => Promise<ExitCode>;
}

/** Checks the action before the database is asked, carries it out, and shows its answer line by line. */
export async function change({ flags, event, then }: Change): Promise<ExitCode> {
  const terminal = new Terminal({ json: flags.json === true });
  return answered(terminal, async () => {
    const action = readChange(event, flags);
    const place = await placeOf(flags);
    terminal.line(terminal.colors.dim(place.description));
    const answer = await place.act(action, new RunDisplay(terminal));
    for (const line of linesOf(answer)) terminal.line(line);
    const code = await then?.(place, terminal);
    if (terminal.json) terminal.document({ ok: (code ?? exitCode.done) === exitCode.done, ...answer });
    return code ?? exitCode.done;
  });
}

function readChange(event: Change['event'], flags: ChangeFlags): ChangingAction {
  const confirmed = flags.confirm === true || flags.yes === true;
  const { needsConfirmation } = recordOf(event.action);
  if (needsConfirmation === true && !confirmed) {
    throw new MigrationError({
      code: 'usage',
      what: `${event.action} changes what is recorded or applied, and was not confirmed.`,
      applied: 'nothing.',
      next: 'look at the verb status first; then run the same command with --confirm.',
    });
  }
  const given = Object.entries({ ...event, confirm: needsConfirmation });
  const action = parseAction(Object.fromEntries(given.filter(([, value]) => value !== undefined)));
  if (!isChanging(action)) throw new TypeError(`${action.action} changes nothing by itself`);
  return action;
}

/** `undone: 0003_column`, one line for each thing that was done. */
function linesOf(answer: object): string[] {
  return Object.entries(answer).flatMap(([verb, what]: [string, unknown]) => {
    const things = Array.isArray(what) ? what : [what];
    return things.length === 0 ? [`${verb}: nothing`] : things.map((thing) => `${verb}: ${thing}`);
  });
}
