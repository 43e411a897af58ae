import type { RunEvent } from '../run/run.ts';
import type { TurnEvent } from '../work/turn/turn-request.ts';

/** What is logged of an event: names, numbers and Postgres's words, no SQL of the user's and no secret. */
export function logFields(event: RunEvent | TurnEvent): Record<string, unknown> {
  switch (event.kind) {
    case 'planned': {
      const { pending, builds, late, reformatted, unknown } = event.plan;
      return {
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
        steps: event.steps.map(({ migration, step, how }) => `${migration.name}#${step + 1} ${how}`),
        milliseconds: event.milliseconds,
      };
    case 'linted':
      return {
        findings: event.findings.map(({ rule, verdict, migration, statement, what }) => ({
          rule,
          verdict,
          at: `${migration.file}:${statement.position.line}`,
          what,
        })),
      };
    case 'turn':
      return { ...named(event.build), turn: event.turn, decision: event.decision };
    case 'started':
      return { ...named(event.build), attempt: event.attempt, session: event.session };
    case 'progress':
      return { ...named(event.build), ...event.progress };
    case 'ended':
      return { ...named(event.build), outcome: event.outcome, fault: event.fault };
    case 'waiting-for-run':
    case 'locked':
    case 'reconnecting':
    case 'notice':
    case 'waiting-for-builds':
    case 'backfilling':
    case 'undoing': {
      const { kind, ...rest } = event;
      return rest;
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
