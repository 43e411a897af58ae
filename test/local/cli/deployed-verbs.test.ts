import { describe, expect, it } from 'vitest';
import { eventually } from '../../lambda/lifecycle/life-cycle.ts';
import { type Ended, folderOf, migrate, steady } from './command-line.ts';
import { type Deployed, deployed, indexes, MINUTES, tables } from './deployed-stack.ts';

const invocations = ({ life }: Deployed): string[] =>
  life.aws.requests
    .filter(
      ({ service, operation, body }) =>
        service === 'functions' && operation === 'Invoke' && body.startsWith('{"action"'),
    )
    .map(({ body }) => JSON.parse(body).action);

describe('through what is deployed', () => {
  it('the verbs say what they say with the database itself', { timeout: 6 * MINUTES }, async () => {
    const there = await deployed();
    const { life } = there;
    await life.deploy(tables);
    await life.deploy(indexes, { props: { waitFor: 'index-builds' } });

    const status = await there.verb('status', '--all');
    const atHome = await migrate([
      'status',
      '--all',
      '--dir',
      folderOf(indexes),
      '--database-url',
      life.database.url,
    ]);
    const below = ({ stdout }: Ended) => steady(stdout.slice(stdout.indexOf('\n')));
    expect(status).toMatchObject({ code: 0, stderr: '' });
    expect(status.stdout).toMatch(/^through the deployed function \w+\n/);
    expect(below(status)).toBe(below(atHome));

    const json = await there.verb('status', '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({
      ok: true,
      builds: [{ index: 'words_x', outcome: 'valid' }],
    });
    expect(await there.verb('plan')).toMatchObject({ code: 0 });
    expect(await there.verb('up')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Nothing to do'),
    });
    expect(await there.verb('cancel', 'nobody')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/nobody[\s\S]*\nNext: /),
    });
    expect(await there.verb('undo', '--to', '0')).toMatchObject({ code: 2 });
    expect(new Set(invocations(there))).toEqual(new Set(['status', 'plan', 'run', 'cancel']));
    const [who] = await life.database.query<{ actor: string }>(
      `select actor from migrations.run where cause = 'console' limit 1`,
    );
    expect(who?.actor).toContain('@');
  });

  it('a failure is the function’s own error, with what to do', { timeout: 4 * MINUTES }, async () => {
    const there = await deployed();
    await there.life.deploy(tables);
    await there.life.database.query(`update migrations.step set checksum = 'other', fingerprint = 'other'`);

    const run = await there.verb('run', '--json');
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/1_words\.sql[\s\S]*\nNext: /);
    expect(JSON.parse(run.stdout)).toMatchObject({ ok: false, error: { code: 'deployed-failed' } });
  });

  it('what a verb fails with is whole in the terminal and in status, with values of rows, and in no log', {
    timeout: 6 * MINUTES,
  }, async () => {
    const there = await deployed();
    const { life } = there;
    const files = {
      ...tables,
      '2_more.sql': 'insert into words values (501, 501);',
      '2_more.down.sql': 'insert into words values (1, 7);',
    };
    await life.deploy(files);
    // Of what a function throws, Lambda logs every word.
    const thrown: string[] = [];
    const invoke = life.aws.functions.invoke.bind(life.aws.functions);
    life.aws.functions.invoke = async (...asked) => {
      const answer = await invoke(...asked);
      if (answer.kind !== 'returned') thrown.push(answer.payload);
      return answer;
    };
    const logs = () => [...life.cloudFormation.log, ...thrown].join('\n');

    const value = 'Key (id)=(1) already exists.';
    const undone = await there.verb('undo', '--to', '1', '--confirm');
    expect(undone).toMatchObject({ code: 1, stderr: expect.stringContaining(value) });
    expect((await there.verb('status')).stdout).toContain(value);
    expect(logs()).toContain('SQLSTATE 23505');
    expect(logs()).not.toContain(value);

    // The owner of the database keeps watch, and names what he sees.
    await life.database.adminQuery(`create function public.watch() returns event_trigger language plpgsql as
      $$ begin raise exception 'seen: 4711'; end $$;
create event trigger watch on ddl_command_start when tag in ('DROP INDEX') execute function public.watch()`);
    const blocker = await life.session();
    await blocker.query('begin; update words set x = x where id = 1');
    const built = { ...files, '3_index.sql': 'create index concurrently words_x on words (x);' };
    await life.deploy(built, { props: { waitFor: 'nothing' } });
    await eventually(async () => {
      const [build] = await life.database.query(
        'select 1 from migrations.work where builder_pid is not null',
      );
      return build !== undefined;
    });
    const cancelled = await there.verb('cancel', 'words_x');
    await blocker.query('commit');
    expect(cancelled).toMatchObject({ code: 1, stderr: expect.stringContaining('seen: 4711') });
    const shown = (await there.verb('status')).stdout;
    expect(shown).toContain('seen: 4711');
    expect(shown).not.toContain(value);
    expect((await there.verb('status', '--all')).stdout).toContain(value);
    expect(logs()).not.toContain('4711');

    // What cannot even be read has no place in the ledger.
    await life.database.query(`alter table migrations.step rename to old;
create view migrations.step as select * from migrations.old where name::int > 0`);
    const unreadable = 'invalid input syntax for type integer: "1_words"';
    for (const verb of ['status', 'plan', 'up', 'retry'])
      expect(await there.verb(verb)).toMatchObject({ code: 1, stderr: expect.stringContaining(unreadable) });
    expect(await life.invoke({ action: 'plan' })).toEqual({ error: expect.stringContaining(unreadable) });
    expect(logs()).not.toContain(unreadable);
  });

  it('the function is found by the stack’s outputs, by its resources, or by its own name', {
    timeout: 4 * MINUTES,
  }, async () => {
    const there = await deployed();
    await there.life.deploy(tables);
    const [name = ''] = Object.entries(there.life.cloudFormation.stack?.template.described().outputs ?? {})
      .filter(([key]) => key.includes('MigratorFunction'))
      .map(([, value]) => value);
    expect(name).not.toBe('');
    expect(await migrate(['status', '--function', name], there.env)).toMatchObject({ code: 0 });

    const { resources } = there.life.cloudFormation.stack?.template.described() ?? { resources: [] };
    there.life.aws.cloudFormation.put('Bare', { outputs: {}, resources });
    expect(await migrate(['status', '--stack', 'Bare'], there.env)).toMatchObject({ code: 0 });

    there.life.aws.cloudFormation.put('Two', {
      outputs: { AMigratorFunction12345678: 'a', BMigratorFunction12345678: 'b' },
      resources: [],
    });
    there.life.aws.cloudFormation.put('None', { outputs: {}, resources: [] });
    for (const [stack, says, code] of [
      ['Two', 'The stack Two has 2 migrators: a, b.', 2],
      ['None', 'The stack None has no migrator.', 2],
      ['Nowhere', 'Stack with id Nowhere does not exist', 1],
    ] as const) {
      const ended = await migrate(['status', '--stack', stack], there.env);
      expect(ended).toMatchObject({ code, stderr: expect.stringContaining(says) });
      expect(ended.stderr).toMatch(/^Next: /m);
    }
  });
});
