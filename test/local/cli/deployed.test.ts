import { describe, expect, it } from 'vitest';
import { firstOf } from '../../support/exhaustive.ts';
import { Migrate, migrate } from './command-line.ts';
import { deployed, indexes, MINUTES, tables } from './deployed-stack.ts';

describe('through what is deployed', () => {
  it('run applies, and watches the builds until they have ended; a build is cancelled and tried again', {
    timeout: 6 * MINUTES,
  }, async () => {
    const there = await deployed();
    const { life } = there;
    await life.deploy(tables);
    const blocker = await life.session();
    await blocker.query('begin; update words set x = x where id = 1');
    await life.deploy(indexes, { props: { waitFor: 'nothing' } });

    const run = new Migrate(['run', '--stack', 'Stack'], there.env);
    await run.says('words_x on public.words', 60_000);
    // While the transaction has the table, the index can't be dropped: the answer says so, and what to do.
    expect(await there.verb('cancel', 'words_x')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Next: '),
    });
    await blocker.query('commit');
    expect(await there.verb('cancel', 'words_x')).toMatchObject({ code: 0 });
    const ended = await run.ended;
    expect(ended).toMatchObject({ code: 1 });
    expect(ended.stdout).toContain('cancelled');

    const retried = await there.verb('retry', 'words_x');
    expect(retried).toMatchObject({ code: 0 });
    expect(retried.stdout).toMatch(/valid +words_x on public\.words after /);
    expect(await life.indexes()).toEqual(['words_pkey', 'words_x']);
  });

  it.each(
    firstOf(1, [
      [
        ['status', '--stack', 'Stack', '--database-url', 'postgres://a@b/c'],
        "'--stack <name>' cannot be used with option '--database-url <url>'",
      ],
      [
        ['up', '--stack', 'Stack', '--lock-timeout', '3'],
        "'--stack <name>' cannot be used with option '--lock-timeout <seconds>'",
      ],
      [
        ['plan', '--function', 'f', '--dir', 'x'],
        "'--function <name>' cannot be used with option '--dir <directory>'",
      ],
      [
        ['status', '--stack', 'S', '--function', 'f'],
        "'--stack <name>' cannot be used with option '--function <name>'",
      ],
    ]),
  )('refuses %j with exit code 2', async (args, says) => {
    expect(await migrate(args)).toMatchObject({ code: 2, stderr: expect.stringContaining(says) });
  });
});
