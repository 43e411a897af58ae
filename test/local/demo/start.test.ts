import { describe, expect, it } from 'vitest';
import { expectEventually } from '../../support/expect-eventually.ts';
import { start } from './start-run.ts';

const MINUTES = 60_000;

describe('npm start', () => {
  it('ends with every index valid, every query through its index, and one JSON document', {
    timeout: 2 * MINUTES,
  }, async () => {
    const run = start('--rows', '20000', '--json');

    expect(await run.exited, run.stderr()).toBe(0);
    const lines = run.stdout().trim().split('\n');
    expect(lines).toHaveLength(1);
    const result = JSON.parse(lines[0] ?? '');
    expect(Object.keys(result)).toEqual(['ok', 'migrations', 'builds', 'writer', 'queries']);
    expect(result.ok).toBe(true);
    expect(result.migrations).toHaveLength(10);
    expect(result.migrations.every(({ state }: { state: string }) => state === 'applied')).toBe(true);
    type Row = { kind: string; index: string; table: string };
    expect(result.builds.map(({ kind, index, table }: Row) => `${kind} ${index || table}`).sort()).toEqual([
      'backfill words',
      'index build idx_messages_content_search',
      'index build idx_messages_unread',
      'index build idx_messages_user_created',
      'index build idx_popular_words_language_word',
      'index build idx_saved_words_user_word',
      'index build idx_saved_words_word_lower',
      'index build idx_user_activity_user',
      'refresh public.popular_words',
      'refresh public.user_activity',
      'validation saved_words_user_id_fkey',
    ]);
    for (const build of result.builds) {
      expect(build).toEqual({
        index: expect.any(String),
        kind: expect.any(String),
        table: expect.stringMatching(/^public\.(messages|saved_words|user_activity|popular_words)$/),
        outcome: 'valid',
        seconds: expect.any(Number),
        turns: expect.any(Number),
        session: build.kind === 'backfill' ? 'attached' : 'loopback',
        attempts: 1,
      });
    }
    expect(result.writer).toEqual({
      writes: expect.any(Number),
      failed: 0,
      slowestMs: expect.any(Number),
    });
    expect(result.writer.writes).toBeGreaterThan(0);
    expect(result.queries).toHaveLength(9);
    expect(result.queries.filter(({ usesIndex }: { usesIndex: boolean }) => !usesIndex)).toEqual([]);
    await expectEventually(() => run.left().length === 0, { what: 'nothing to be left' });
  });

  it.each([
    { moment: 'while the stack is synthesized', line: 'PostgreSQL' },
    { moment: 'while the tables are filled', line: 'Time passes' },
    { moment: 'while indexes are built', line: 'building' },
  ])(
    'takes everything with it when it is interrupted $moment',
    {
      timeout: 4 * MINUTES,
    },
    async ({ line }) => {
      const run = start('--rows', '200000');
      await expectEventually(() => run.stdout().includes(line), { withinMilliseconds: 2 * MINUTES });

      run.signal('SIGINT');

      expect(await run.exited, run.stderr()).toBe(130);
      expect(run.stderr()).toBe('Stopped; everything that was started has ended.\n');
      await expectEventually(() => run.left().length === 0, { what: 'nothing to be left' });
    },
  );

  it('says what is wrong with a flag', { timeout: MINUTES }, async () => {
    const run = start('--rows', 'many');

    expect(await run.exited).toBe(1);
    expect(run.stderr()).toContain('It has to be a whole number from 1000 to 100000000.');
  });
});
