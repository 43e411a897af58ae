import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, inject, it } from 'vitest';
import { expectEventually } from '../../support/expect-eventually.ts';
import { onTerminal } from '../../support/terminal.ts';
import { PROGRESS, start } from './start-run.ts';

const MINUTES = 60_000;
const root = fileURLToPath(new URL('../../..', import.meta.url));

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

  it('says how far the filling and the builds are, line by line', { timeout: 3 * MINUTES }, async () => {
    const run = start('--rows', '400000');

    expect(await run.exited, run.stderr()).toBe(0);
    const progress = run
      .stdout()
      .split('\n')
      .filter((line) => PROGRESS.test(line));
    expect(progress).toContainEqual(expect.stringMatching(/^ {12}\d+ %, filling the tables: [\d,]+ rows$/));
    expect(progress).toContainEqual(
      expect.stringMatching(/^ {12}idx_\w+ on public\.\w+: .+, \d+ %, .+ so far/),
    );
  });

  it('is the same on a terminal, with colours, and with bars that are gone at the end', {
    timeout: 3 * MINUTES,
  }, async () => {
    const temporary = mkdtempSync(join(inject('scratch'), 'terminal-'));
    const run = onTerminal(process.execPath, ['--import', 'tsx', 'local/demo/main.ts', '--rows', '400000'], {
      cwd: root,
      env: { ...process.env, TMPDIR: temporary },
    });
    const sees = (pattern: RegExp) =>
      expectEventually(() => run.lines().some((line) => pattern.test(line)), {
        withinMilliseconds: 2 * MINUTES,
        what: String(pattern),
      });

    await sees(/^A deploy with index builds, run on this machine\.$/);
    await sees(/^[█░]{20} filling the tables: [\d,]+ rows$/);
    await sees(/^[█░]{20} idx_\w+: \d+ %, /);
    expect(await run.exited).toBe(0);

    const lines = run.lines();
    expect(lines.filter((line) => /[█░]/.test(line))).toEqual([]);
    const applied = lines.filter((line) => /^(?:applied|handed off) /.test(line));
    expect(new Set(applied).size).toBe(applied.length);
    const handedOff = lines.filter((line) => line.startsWith('handed off'));
    expect(lines.filter((line) => line.startsWith('building'))).toHaveLength(handedOff.length);
    const ended = lines.filter((line) => /^(?:valid|validated|filled|refreshed) .* after /.test(line));
    expect(ended).toHaveLength(handedOff.length);
    // The cursor is there again, and nothing was drawn after the last line.
    expect(run.raw()).toContain('\x1b[?25h');
    expect(lines.at(-1)).toMatch(/^All valid after \d/);
    expect(run.raw()).toContain('\x1b[32mapplied     \x1b[39m0001_users');
  });
});
