import * as v from 'valibot';

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

const strings = v.array(v.string());

/** For a person; undefined where the line says nothing that a person wants to see. */
export function describeLogLine(logged: LogLine): string | undefined {
  const build = `${logged.index || 'REINDEX'} on ${logged.table}`;
  switch (logged.message) {
    case 'applied':
      return v.is(strings, logged.steps)
        ? logged.steps.map((step) => `applied   ${step}`).join('\n')
        : undefined;
    case 'started':
      return `building  ${build} (attempt ${String(logged.attempt)}, ${String(logged.session)} session)`;
    case 'ended':
      return `${String(logged.outcome) === 'failed' ? 'FAILED  ' : 'valid   '}  ${build}`;
    case 'turn':
      return `turn ${String(logged.turn).padEnd(4)} ${build}: ${String(logged.decision)}`;
    case 'waiting-for-builds':
      return `waiting   ${String(logged.file)}: ${String(logged.because)}`;
    case 'locked':
      return `locked    ${String(logged.file)}, trying again`;
    default:
      return undefined;
  }
}

/** Progress of one build: 0 to 1 and what it does. */
export function progressOf(
  logged: LogLine,
): { name: string; fraction: number; phase: string; secondsLeft: number | undefined } | undefined {
  if (logged.message !== 'progress') return undefined;
  const { fraction, phase, secondsLeft } = logged;
  return {
    name: `${logged.index || 'REINDEX'}`,
    fraction: typeof fraction === 'number' ? fraction : 0,
    phase: String(phase),
    secondsLeft: typeof secondsLeft === 'number' ? secondsLeft : undefined,
  };
}
