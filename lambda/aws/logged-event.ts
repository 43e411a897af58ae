import type { IndexOperation, LongStatement } from '../migration/migration.ts';
import type { PostgresFault } from '../migration/postgres-fault.ts';
import { withoutRowValues } from '../migration/postgres-fault.ts';
import { type RowValues, textOf } from '../migration/row-values.ts';
import type { AppliedStep, RunEvent } from '../run/run.ts';
import type { TurnEvent } from '../work/turn/turn-request.ts';

type Event = RunEvent | TurnEvent;
type Of<Kind extends Event['kind']> = Extract<Event, { kind: Kind }>;

/** A build, by names only. */
export interface LoggedBuild {
  readonly operation: Of<'turn'>['build']['operation'];
  /** With its schema. */
  readonly table: string;
  /** Empty for REINDEX of a whole table. */
  readonly index: string;
}

export interface LoggedStep {
  /** Name of its migration. */
  readonly migration: string;
  /** From 1. */
  readonly step: number;
  /** How many steps its migration has. */
  readonly of: number;
  readonly how: AppliedStep['how'];
  /** `idx_messages_unread on messages`, `refresh of totals`; of index operations, and of work that was handed off. */
  readonly operation?: string;
}

/** An event in names, numbers and Postgres's words, with no SQL of the user's and no secret. */
export type LoggedEvent =
  | {
      readonly kind: 'planned';
      readonly steps: number;
      readonly files: readonly string[];
      readonly builds: number;
      readonly late: readonly string[];
      readonly reformatted: readonly string[];
      readonly unknown: readonly string[];
    }
  | { readonly kind: 'applied'; readonly steps: readonly LoggedStep[]; readonly milliseconds: number }
  | {
      readonly kind: 'linted';
      readonly findings: readonly {
        readonly rule: string;
        readonly verdict: string;
        readonly at: string;
        readonly what: string;
      }[];
    }
  | (LoggedBuild & Omit<Of<'turn'>, 'build'>)
  | (LoggedBuild & Omit<Of<'started'>, 'build'>)
  | (LoggedBuild & { readonly kind: 'progress' } & Of<'progress'>['progress'])
  | (LoggedBuild & {
      readonly kind: 'ended';
      readonly outcome: Of<'ended'>['outcome'];
      /** Since its first attempt began. */
      readonly seconds: number | undefined;
      readonly fault: PostgresFault | undefined;
    })
  /** A log line already has a message: the event's kind. */
  | (Omit<Of<'notice'>, 'message' | 'context'> & { readonly text: string })
  | Of<
      | 'adopted'
      | 'waiting-for-run'
      | 'ledger-exposed'
      | 'locked'
      | 'reconnecting'
      | 'waiting-for-builds'
      | 'undoing'
    >;

/** What the functions log of an event, with row values hidden, and what the command line shows of it. */
export function logged(event: Event, rows: RowValues): LoggedEvent {
  switch (event.kind) {
    case 'planned': {
      const { pending, builds, late, reformatted, unknown } = event.plan;
      return {
        kind: 'planned',
        steps: pending.length,
        files: [...new Set(pending.map(({ migration }) => migration.file))],
        builds: builds.length,
        late: late.map(({ file }) => file),
        reformatted: reformatted.map(({ file }) => file),
        unknown: unknown.map(({ name }) => name),
      };
    }
    case 'applied':
      return { kind: 'applied', steps: event.steps.map(loggedStep), milliseconds: event.milliseconds };
    case 'linted':
      return {
        kind: 'linted',
        findings: event.findings.map(({ rule, verdict, migration, statement, what }) => ({
          rule,
          verdict,
          at: `${migration.file}:${statement.position.line}`,
          what: textOf(what, rows),
        })),
      };
    case 'turn':
      return { kind: 'turn', ...named(event.build), turn: event.turn, decision: event.decision };
    case 'started': {
      const { build, ...rest } = event;
      return { ...rest, ...named(build) };
    }
    case 'progress':
      return { kind: 'progress', ...named(event.build), ...event.progress };
    case 'ended': {
      const { build, outcome, fault } = event;
      const told = fault !== undefined && rows === 'hidden' ? withoutRowValues(fault) : fault;
      return { kind: 'ended', ...named(build), outcome, seconds: build.secondsSinceFirstStart, fault: told };
    }
    case 'notice': {
      const { kind, file, line, severity, ...said } = event;
      const { sqlstate, message: text, detail, hint } = rows === 'hidden' ? withoutRowValues(said) : said;
      return {
        kind,
        file,
        line,
        severity,
        sqlstate,
        text,
        ...(detail && { detail }),
        ...(hint && { hint }),
      };
    }
    case 'adopted':
    case 'waiting-for-run':
    case 'ledger-exposed':
    case 'locked':
    case 'reconnecting':
    case 'waiting-for-builds':
    case 'undoing':
      return event;
    default:
      return event satisfies never;
  }
}

export function loggedStep({ migration, step, how }: AppliedStep): LoggedStep {
  const found = migration.steps[step];
  const operation =
    found?.kind === 'index-operation'
      ? describeOperation(found.operation)
      : how === 'handed off' && found?.long !== undefined
        ? describeLong(found.long)
        : undefined;
  return {
    migration: migration.name,
    step: step + 1,
    of: migration.steps.length,
    how,
    ...(operation === undefined ? {} : { operation }),
  };
}

function describeOperation(operation: IndexOperation): string {
  switch (operation.kind) {
    case 'create-index':
      return `${operation.index ?? operation.suggestedName} on ${operation.table.name}`;
    case 'drop-index':
      return `drop of ${operation.indexes.map(({ name }) => name).join(', ')}`;
    case 'reindex':
      return `reindex of ${operation.name?.name ?? operation.target}`;
    default:
      return operation satisfies never;
  }
}

function describeLong({ operation, relation, names }: LongStatement): string {
  const what = names.length > 0 ? names.join(', ') : operation.replaceAll('-', ' ');
  if (relation === undefined) return what;
  return `${what} ${names.length > 0 ? 'on' : 'of'} ${relation.name}`;
}

function named({ schema, table, index, operation }: Of<'turn'>['build']): LoggedBuild {
  return { operation, table: table === '' ? '' : `${schema}.${table}`, index };
}
