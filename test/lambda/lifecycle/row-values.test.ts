import { createSocket } from 'node:dgram';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { type LifeCycle, newLifeCycle } from './life-cycle.ts';

const MAIL = 'canary@example.com';

const tables = {
  '1_tables.sql': `create table large (id int primary key, email text);
insert into large select i, case when i < 3 then '${MAIL}' else 'p' || i end from generate_series(1, 500) i;`,
};
const broken = {
  ...tables,
  '2_fails.sql': `do $$ begin raise notice 'there is %', (select email from large where id = 1); end $$;
create table numbers as select email::int from large;`,
};
const unique = {
  ...tables,
  '3_unique.sql': 'create unique index concurrently large_email on large (email);',
};

let life: LifeCycle;
/** What went over the wire to anybody but the operator who asked: answers of the functions, segments of traces. */
let sent: string[];
let environment: Record<string, string>;
beforeEach(async () => {
  life = await newLifeCycle();
  sent = [];
  const invoke = life.aws.functions.invoke.bind(life.aws.functions);
  life.aws.functions.invoke = async (name, payload) => {
    const answer = await invoke(name, payload);
    if (!payload.includes('"action"')) sent.push(answer.payload);
    return answer;
  };
  const daemon = createSocket('udp4', (datagram) => sent.push(datagram.toString('utf8')));
  await new Promise<void>((resolve) => daemon.bind(0, '127.0.0.1', resolve));
  onTestFinished(() => void daemon.close());
  environment = {
    AWS_XRAY_DAEMON_ADDRESS: `127.0.0.1:${daemon.address().port}`,
    AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
    LAMBDA_TASK_ROOT: '/var/task',
    _X_AMZN_TRACE_ID: 'Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1',
  };
});

/** Everything that CloudFormation, Step Functions, EventBridge, CloudWatch and X-Ray have by now, each by its name. */
const places = (responses: unknown): Record<string, string> => ({
  'CloudFormation’s events': JSON.stringify(responses),
  'Step Functions’ history': JSON.stringify(
    life.aws.stepFunctions.executions.map(({ input, ended }) => [input, ended?.outcome]),
  ),
  'EventBridge’s events': JSON.stringify(life.aws.events.events),
  'the log': life.cloudFormation.log.join('\n'),
  'answers and traces': sent.join('\n'),
});

const placesWithValues = (responses: unknown): string[] =>
  Object.entries(places(responses)).flatMap(([place, text]) => (text.includes('canary') ? [place] : []));

it('values of rows are in the action status, and in nothing that more people read', async () => {
  await life.deploy(tables, { environment });
  const responses = [
    await life.deploy(broken, { environment }),
    await life.deploy(unique, { environment, props: { waitFor: 'index-builds' } }),
  ];
  await life.aws.stepFunctions.settled();
  expect(responses.map(({ status }) => status)).toEqual(Array(2).fill('UPDATE_ROLLBACK_COMPLETE'));
  expect(placesWithValues(responses)).toEqual([]);
  const told = places(responses);
  expect(told['CloudFormation’s events']).toContain('SQLSTATE 22P02');
  expect(told['CloudFormation’s events']).toContain('1 value of (email) in more than one row');
  expect(told['Step Functions’ history']).toContain('1 value of (email) in more than one row');
  expect(told['EventBridge’s events']).toContain('SQLSTATE 22P02');
  expect(told['the log']).toContain('"text":"a notice"');
  expect(told['answers and traces']).toContain('SQLSTATE 22P02');
  expect(told['answers and traces']).toContain('## migrator');
  const status = JSON.stringify(await life.invoke({ action: 'status' }));
  expect(status).toContain(`invalid input syntax for type integer: \\"${MAIL}\\"`);
  expect(status).toContain(`Such as (${MAIL}) in 2 rows.`);
  expect(placesWithValues(responses)).toEqual([]);
});

it('values of rows are everywhere where the construct says so', async () => {
  const props = { rowValuesInLogs: 'shown' } as const;
  await life.deploy(tables, { environment, props });
  const responses = [
    await life.deploy(broken, { environment, props }),
    await life.deploy(unique, { environment, props: { ...props, waitFor: 'index-builds' } }),
  ];
  await life.aws.stepFunctions.settled();
  expect(placesWithValues(responses)).toEqual(Object.keys(places(responses)));
});
