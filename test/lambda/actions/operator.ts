import pg from 'pg';
import { onTestFinished } from 'vitest';
import { parseAction } from '../../../lambda/actions/action.ts';
import { performAction } from '../../../lambda/actions/perform-action.ts';
import { planRun, type RunPlan } from '../../../lambda/foresight/plan-run.ts';
import { MigrationError } from '../../../lambda/migration/migration-error.ts';
import { defaultOptions } from '../../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../../lambda/postgres/session/connection-target.ts';
import type { FreshDatabase } from '../../support/fresh-database.ts';
import { compile, type Files, freshScenario, type Scenario, SMALL_TABLE_ROWS } from '../run/scenario.ts';

/** A person who sends actions, and the database that they are about. */
export interface Operator extends Scenario {
  act(event: object, files: Files, limits?: Limits): Promise<object>;
  /** The text with which an action is refused. */
  refusal(event: object, files: Files, limits?: Limits): Promise<string>;
  plan(files: Files): Promise<RunPlan>;
  adminQuery: FreshDatabase['adminQuery'];
  /** A session of its own in the database, which ends with the test at the latest. */
  session(): Promise<pg.Client>;
  /** Every run that the ledger has. */
  runs(): Promise<object[]>;
  /** `undo by anna: done` for each run but those of deploys and the loop, the oldest first. */
  recorded(): Promise<string[]>;
}

export interface Limits {
  /** Milliseconds that the action has, as a function has them. @default no limit, as in a terminal */
  readonly milliseconds?: number;
}

const options = { ...defaultOptions, smallTableRows: SMALL_TABLE_ROWS };

export async function freshOperator(): Promise<Operator> {
  return operatorOf(await freshScenario({ dblink: true }));
}

export function operatorOf(scenario: Scenario): Operator {
  const target = parseConnectionUrl(scenario.database.url, 'The URL');
  const act = async (event: object, files: Files, { milliseconds }: Limits = {}): Promise<object> => {
    const action = parseAction(event);
    if (action.action === 'run' || action.action === 'status' || action.action === 'plan')
      throw new Error(`${action.action} changes nothing by itself.`);
    return performAction(action, {
      migrations: await compile(files),
      target,
      options,
      cause: { kind: 'console', actor: action.by ?? 'console' },
      deadline: milliseconds === undefined ? undefined : Date.now() + milliseconds,
      report: (event) => void scenario.events.push(event),
    });
  };
  return {
    ...scenario,
    act,
    refusal: async (event, files, limits) => {
      const outcome = await act(event, files, limits).catch((error: unknown) => error);
      if (outcome instanceof MigrationError) return outcome.message;
      throw new Error(`It was to be refused, but: ${JSON.stringify(outcome)}`, { cause: outcome });
    },
    adminQuery: (sql, values) => scenario.database.adminQuery(sql, values),
    session: async () => {
      const client = new pg.Client({ connectionString: scenario.database.url, application_name: 'blocker' });
      client.on('error', () => {});
      await client.connect();
      onTestFinished(() => client.end());
      return client;
    },
    runs: async () => {
      const [{ there } = { there: null }] = await scenario.query<{ there: string | null }>(
        "select to_regclass('migrations.run')::text as there",
      );
      return there === null ? [] : scenario.query('select * from migrations.run order by started_at');
    },
    plan: async (files) => planRun(target, { options, migrations: await compile(files) }),
    recorded: async () => {
      const rows = await scenario.query<{ line: string }>(
        `select action || ' by ' || actor || ': ' || outcome as line from migrations.run
          where cause = 'console' order by started_at`,
      );
      return rows.map(({ line }) => line);
    },
  };
}
