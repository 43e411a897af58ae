import type { RunEvent } from '../story/run.ts';
import type { TurnEvent } from '../story/turn.ts';

/** One JSON line for each event: names, numbers and Postgres's words, no SQL of the user's and no secret. */
export function logEvent(event: RunEvent | TurnEvent): void {
  console.log(JSON.stringify(describe(event)));
}

function describe(event: RunEvent | TurnEvent): object {
  switch (event.kind) {
    case 'planned': {
      const { pending, builds, late, reformatted, unknown } = event.plan;
      return {
        event: event.kind,
        steps: pending.length,
        files: [...new Set(pending.map(({ migration }) => migration.file))],
        builds: builds.length,
        late: late.map(({ file }) => file),
        reformatted: reformatted.map(({ file }) => file),
        unknown: unknown.map(({ name }) => name),
      };
    }
    case 'applied':
      return {
        event: event.kind,
        steps: event.steps.map(({ migration, step, how }) => `${migration.name}#${step + 1} ${how}`),
        milliseconds: event.milliseconds,
      };
    case 'turn':
      return { event: event.kind, ...named(event.build), turn: event.turn, decision: event.decision };
    case 'started':
      return { event: event.kind, ...named(event.build), attempt: event.attempt, session: event.session };
    case 'progress':
      return { event: event.kind, ...named(event.build), ...event.progress };
    case 'ended':
      return { event: event.kind, ...named(event.build), outcome: event.outcome, fault: event.fault };
    case 'waiting-for-run':
    case 'locked':
    case 'reconnecting':
    case 'waiting-for-builds': {
      const { kind, ...rest } = event;
      return { event: kind, ...rest };
    }
    default:
      return event satisfies never;
  }
}

function named({
  schema,
  table,
  index,
  operation,
}: {
  schema: string;
  table: string;
  index: string;
  operation: string;
}) {
  return { operation, table: `${schema}.${table}`, index };
}
