import * as v from 'valibot';
import type { Terminal } from '../cli/terminal.ts';

/** A line of the functions' log, as Powertools writes it. */
const line = v.looseObject({
  message: v.string(),
  index: v.optional(v.string()),
  table: v.optional(v.string()),
});

export type LogLine = v.InferOutput<typeof line>;

/** Undefined for what is no line of ours, such as a metric. */
export function parseLogLine(text: string): LogLine | undefined {
  const start = text.indexOf('{');
  if (start < 0) return undefined;
  try {
    const parsed = v.safeParse(line, JSON.parse(text.slice(start)));
    return parsed.success ? parsed.output : undefined;
  } catch {
    return undefined;
  }
}

const VERB_CHARACTERS = 10;

/** For a person; none where the line says nothing that a person wants to see. */
export function describeLogLine(logged: LogLine, colors: Terminal['colors']): string[] {
  const { green, red, cyan, yellow, dim } = colors;
  const build = `${logged.index || 'REINDEX'} on ${logged.table}`;
  const verb = (text: string) => text.padEnd(VERB_CHARACTERS);
  switch (logged.message) {
    case 'applied':
      return v
        .parse(v.fallback(v.array(v.string()), []), logged.steps)
        .reduce(gather, [])
        .map(({ name, how }) => `${green(verb('applied'))}${name.padEnd(26)}${dim(describeSteps(how))}`);
    case 'started':
      return [
        `${cyan(verb('building'))}${build} (attempt ${String(logged.attempt)}, ${String(logged.session)} session)`,
      ];
    case 'ended': {
      const failed = logged.outcome === 'failed';
      return [`${failed ? red(verb('FAILED')) : green(verb('valid'))}${build}`];
    }
    case 'turn':
      return [`${dim(verb(`turn ${String(logged.turn)}`))}${build}: ${String(logged.decision)}`];
    case 'waiting-for-builds':
      return [`${yellow(verb('waiting'))}${String(logged.file)}: ${String(logged.because)}`];
    case 'locked':
      return [`${yellow(verb('locked'))}${String(logged.file)}, ${describeLocked(logged)}`];
    default:
      return [];
  }
}

const lockedLine = v.object({
  next: v.picklist(['try', 'hold-back']),
  blockers: v.array(v.object({ pid: v.number(), application: v.string(), state: v.string() })),
});

function describeLocked(logged: LogLine): string {
  const { success, output } = v.safeParse(lockedLine, logged);
  if (!success) return 'trying again';
  const by = output.blockers
    .map(({ pid, application, state }) => `pid ${pid} (${application || 'no name'}, ${state})`)
    .join(', ');
  return output.next === 'try'
    ? `trying again${by && `; held by ${by}`}`
    : `waiting, with nobody behind us, for ${by}`;
}

interface AppliedFile {
  readonly name: string;
  readonly how: readonly string[];
}

/** `0007_activity#2 handed off` joins the other steps of its file. */
function gather(files: readonly AppliedFile[], step: string): AppliedFile[] {
  const [, name = step, how = ''] = /^(.*)#\d+ (.*)$/.exec(step) ?? [];
  const last = files.at(-1);
  if (last?.name !== name) return [...files, { name, how: [how] }];
  return [...files.slice(0, -1), { name, how: [...last.how, how] }];
}

const STEP_WORDS: Readonly<Record<string, readonly [one: string, many: string]>> = {
  transaction: ['transaction', 'transactions'],
  autocommit: ['statement of its own', 'statements of their own'],
  inline: ['index at once', 'indexes at once'],
  'handed off': ['index build handed off', 'index builds handed off'],
};

/** `1 transaction, 2 index builds handed off` */
function describeSteps(how: readonly string[]): string {
  return [...new Set(how)]
    .map((kind) => {
      const count = how.filter((other) => other === kind).length;
      const [one, many] = STEP_WORDS[kind] ?? [kind, kind];
      return `${count} ${count === 1 ? one : many}`;
    })
    .join(', ');
}
