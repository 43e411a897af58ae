import { describe, expect, it } from 'vitest';
import { type Ended, folderOf, migrate, steady } from './command-line.ts';
import { type Deployed, deployed, indexes, MINUTES, tables } from './deployed-stack.ts';

const invocations = ({ life }: Deployed): string[] =>
  life.aws.requests
    .filter(
      ({ service, operation, body }) =>
        service === 'functions' && operation === 'Invoke' && body.startsWith('{"action"'),
    )
    .map(({ body }) => JSON.parse(body).action);

describe('by way of what is deployed', () => {
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
    expect(status.stdout).toMatch(/^by way of the deployed function \w+\n/);
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
