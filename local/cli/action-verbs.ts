import { type Command, Option } from 'commander';
import { type ChangingAction, isChanging, parseAction, recordOf } from '../../lambda/actions/action.ts';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import {
  DATABASE_HELP,
  type DatabaseFlags,
  withDatabaseFlags,
  withDeployedFlags,
  withJson,
  withRunFlags,
} from './database-options.ts';
import { type ExitCode, exitCode } from './exit-code.ts';
import { answered } from './failure.ts';
import { interruptible } from './interruption.ts';
import type { Place } from './place.ts';
import { placeOf } from './place-of.ts';
import { RunDisplay } from './run-display.ts';
import { Terminal } from './terminal.ts';
import { UpRecord } from './up-record.ts';

type Fields = Readonly<Record<string, unknown>>;

/** How an operator's action is written in a terminal; its record says whether it needs --confirm. */
interface ActionVerb {
  readonly argument?: readonly [form: string, description: string];
  readonly description: string;
  readonly options?: readonly Option[];
  /** It builds, so it takes the flags of a run. @default false */
  readonly runs?: boolean;
  /** Comes before the environment and the exit codes in its help. */
  readonly notes?: string;
  /** @default those of an action that is done or refused */
  readonly exitCodes?: string;
  /** Arguments of example commands. */
  readonly examples?: readonly string[];
  /** What the action's event has besides its name; fields without a value are left out. */
  readonly fields: (argument: string | undefined, flags: ChangeFlags) => Fields;
  /** What follows when the action is done. @default nothing */
  readonly afterwards?: (flags: ChangeFlags) => Then | undefined;
}

type Then = (place: Place, terminal: Terminal) => Promise<ExitCode>;

interface ChangeFlags extends DatabaseFlags {
  readonly confirm?: boolean;
  readonly yes?: boolean;
}

/** Each action that changes something is a verb: one that is missing here does not compile. */
const verbs: Readonly<Record<ChangingAction['action'], ActionVerb>> = {
  retry: {
    argument: ['[index]', 'name of the index, with or without its schema; all without it'],
    description: 'give failed and cancelled index builds their attempts back, and build them',
    runs: true,
    options: [new Option('--no-wait', 'leave the builds to the next up, or to the deployed loop')],
    exitCodes: `
  0  every index build is valid, or, with --no-wait, is to be tried again
  1  a build failed again, or there is none of that name
  2  the command itself is wrong`,
    examples: ['retry', 'retry idx_messages_user_created'],
    fields: (index) => ({ index }),
    afterwards: ({ wait }) => (wait === true ? build : undefined),
  },
  cancel: {
    argument: ['<index>', 'name of the index, with or without its schema'],
    description: 'stop an index build, and drop what it leaves; retry builds it',
    fields: (index) => ({ index }),
  },
  pause: {
    argument: ['[name]', 'name of the index, the constraint or the columns that are filled; all without it'],
    description: 'pause work that has not begun, and backfills, until resume',
    fields: (index) => ({ index }),
  },
  resume: {
    argument: ['[name]', 'as for pause; all without it'],
    description: 'release what is paused: the deployed loop, or the next up, continues it',
    fields: (index) => ({ index }),
  },
  baseline: {
    argument: ['<version>', 'the newest migration that the database already has'],
    description: 'record every migration up to a version as applied: for a database older than its ledger',
    examples: ['baseline 0042 --confirm'],
    fields: (version) => ({ version }),
  },
  repair: {
    argument: ['<version>', 'version of the migration'],
    description: 'make the ledger agree with what you know to be true; touches no table of yours',
    options: [
      new Option('--accept-checksum', 'the file as it is now is what was applied'),
      new Option('--step <number>', 'with --as: a step that was under way when its run died'),
      new Option('--as <state>', 'what became of that step').choices(['applied', 'not-applied']),
      new Option('--applied', "what another tool's history leaves open was applied"),
      new Option('--not-applied', 'it was not: the next up applies it'),
      new Option('--continue-at <step>', 'its steps before this one were applied'),
      new Option('--forget', 'it was never applied: the next up applies it'),
    ],
    examples: [
      'repair 0007 --accept-checksum --confirm',
      'repair 0007 --step 2 --as applied --confirm',
      'repair 0007 --applied --confirm',
      'repair 0007 --forget --confirm',
    ],
    fields: (version, { acceptChecksum, step, as, applied, notApplied, continueAt, forget }) => ({
      version,
      accept: acceptChecksum === true ? 'checksum' : undefined,
      step: step === undefined ? undefined : Number(step),
      as: as ?? (applied === true ? 'applied' : notApplied === true ? 'not-applied' : undefined),
      continueAt: continueAt === undefined ? undefined : Number(continueAt),
      forget,
    }),
  },
  undo: {
    description: 'run the undo files (….down.sql) of applied migrations, the newest first',
    options: [
      new Option(
        '--to <version>',
        'what is applied above this version is undone; 0 for all',
      ).makeOptionMandatory(),
    ],
    notes: '\nAn undo that fails or dies can be continued by the same command.',
    examples: ['undo --to 0006 --confirm'],
    fields: (_, { to }) => ({ to }),
  },
};

const EXIT_CODES = `
  0  done
  1  it was refused, or failed
  2  the command itself is wrong, or not confirmed; nothing was touched`;

export function addActionVerbs(program: Command): void {
  for (const name of Object.keys(verbs) as ChangingAction['action'][]) add(program, name, verbs[name]);
}

function add(program: Command, name: ChangingAction['action'], verb: ActionVerb): void {
  const command = withJson(withDeployedFlags(withDatabaseFlags(program.command(name))));
  if (verb.runs === true) withRunFlags(command);
  if (recordOf(name).needsConfirmation === true) {
    command.option('--confirm', 'yes, do it: without this it only says what it would need');
    command.option('--yes', 'the same');
  }
  for (const option of verb.options ?? []) command.addOption(option);
  if (verb.argument !== undefined) command.argument(...verb.argument);
  const examples = (verb.examples ?? []).map((line) => `\n  npx cdk-postgres-migrations ${line}`);
  command
    .description(verb.description)
    .addHelpText(
      'after',
      [
        `${verb.notes ?? ''}${DATABASE_HELP}\n`,
        `Exit codes:${verb.exitCodes ?? EXIT_CODES}`,
        ...(examples.length === 0
          ? []
          : [`\n${examples.length === 1 ? 'Example' : 'Examples'}:${examples.join('')}`]),
      ].join('\n'),
    )
    .action(async () => {
      const flags = command.opts<ChangeFlags>();
      const [argument]: (string | undefined)[] = command.processedArgs;
      const event = { action: name, ...verb.fields(argument, flags) };
      process.exitCode = await change(event, flags, verb.afterwards?.(flags));
    });
}

/** Checks the action before connecting, performs it, and shows its answer line by line. */
async function change(
  event: { readonly action: ChangingAction['action'] } & Fields,
  flags: ChangeFlags,
  then: Then | undefined,
): Promise<ExitCode> {
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

function readChange(
  event: { readonly action: ChangingAction['action'] } & Fields,
  { confirm, yes }: ChangeFlags,
): ChangingAction {
  const { needsConfirmation } = recordOf(event.action);
  if (needsConfirmation === true && confirm !== true && yes !== true) {
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

/** Until every build has ended. */
async function build(place: Place, terminal: Terminal): Promise<ExitCode> {
  const display = new RunDisplay(terminal);
  try {
    const wrong = await interruptible((signal) => place.build({ display, record: new UpRecord(), signal }));
    if (wrong === undefined) return exitCode.done;
    terminal.errorLine(wrong);
    return exitCode.failed;
  } finally {
    display.stop();
  }
}
