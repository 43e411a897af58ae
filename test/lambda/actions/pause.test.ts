import { beforeEach, describe, expect, it } from 'vitest';
import { defaultOptions } from '../../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../../lambda/postgres/session/connection-target.ts';
import { deployProgress } from '../../../lambda/status/deploy-progress.ts';
import { exhaustive, firstOf } from '../../support/exhaustive.ts';
import { compile, SMALL_TABLE_ROWS } from '../run/scenario.ts';
import { after, turnOf } from '../work/turn/building.ts';
import { freshOperator, type Operator } from './operator.ts';

let operator: Operator;
beforeEach(async () => {
  operator = await freshOperator();
});

/** More rows than a first batch has. */
const table = {
  '1_large.sql':
    'create table large (id int primary key, x int); insert into large select i, i from generate_series(1, 3000) i;',
};
const files = {
  ...table,
  '2_fill.sql': '-- migrate: backfill batch 1ms\nupdate large set x = x + 1;',
  '3_index.sql': 'create index concurrently large_x on large (x);',
};

const turn = (batches = 1_000) => turnOf(operator.database, { table: 'large', yields: after(batches) });

const states = async (): Promise<string[]> =>
  (
    await operator.query<{ line: string }>(
      `select index_name || ' ' || state as line from migrations.work order by id`,
    )
  ).map(({ line }) => line);

const written = async (): Promise<number> => {
  const [row] = await operator.query<{ written: number }>(
    'select coalesce(sum(written), 0)::int as written from migrations.backfill',
  );
  return row?.written ?? -1;
};

/** A line for each build that a deploy waits for. */
async function deploySays(): Promise<readonly string[]> {
  const progress = await deployProgress(parseConnectionUrl(operator.database.url, 'The URL'), {
    options: { ...defaultOptions, smallTableRows: SMALL_TABLE_ROWS, waitFor: 'index-builds' },
    migrations: await compile(files),
  });
  return progress.kind === 'in-progress' ? progress.builds : [progress.kind];
}

describe('pause', () => {
  beforeEach(async () => {
    await operator.deploy(table);
    await operator.query('analyze large');
    await operator.run(files);
  });

  exhaustive.it('of everything pauses whatever has not started, and resume continues with it', async () => {
    expect(await operator.act({ action: 'pause' }, files)).toEqual({
      paused: ['x on public.large', 'large_x on public.large'],
    });
    expect(await turn()).toMatchObject({ outcome: 'wait' });
    expect(await states()).toEqual(['x paused', 'large_x paused']);
    expect(await written()).toBe(0);
    expect(await deploySays()).toEqual(['x on public.large: paused', 'large_x on public.large: paused']);
    expect(await operator.act({ action: 'resume', by: 'anna' }, files)).toEqual({
      resumed: ['x on public.large', 'large_x on public.large'],
    });
    expect(await operator.loop(files)).toEqual({ outcome: 'valid', message: '' });
    expect(await operator.recorded()).toEqual(['pause by console: done', 'resume by anna: done']);
  });

  it('of a backfill that has started pauses it after its last batch, and resume continues there', async () => {
    await turn(1);
    const before = await written();
    expect(before).toBeGreaterThan(0);
    await operator.act({ action: 'pause', index: 'x' }, files);
    expect(await turn()).toMatchObject({ outcome: 'wait' });
    expect(await written()).toBe(before);
    const [build] = (await operator.status(files)).builds;
    expect(build).toMatchObject({ state: 'paused', progress: { fill: { rowsWritten: before } } });
    expect((await deploySays())[0]).toMatch(
      /^x on public\.large: paused, [\d,]+ rows written, [\d,]+ a second, at public\.large, id = \d+, \d+ %$/,
    );
    await operator.act({ action: 'resume' }, files);
    expect(await operator.loop(files)).toEqual({ outcome: 'valid', message: '' });
    expect(await operator.query('select count(*)::int as wrong from large where x <> id + 1')).toEqual([
      { wrong: 0 },
    ]);
  });

  exhaustive.it('in the middle of a turn ends it with the batch under way', async () => {
    let asked: Promise<object> | undefined;
    let seen = 0;
    // Called before each batch.
    const yields = () => {
      seen += 1;
      if (seen === 2) asked = operator.act({ action: 'pause', index: 'x' }, files);
      return false;
    };
    await operator.query(
      "create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(0.001); return new; end'; create trigger slow before update on large for each row execute function slow()",
    );
    expect(await turnOf(operator.database, { table: 'large', yields })).toMatchObject({ outcome: 'wait' });
    expect(await asked).toEqual({ paused: ['x on public.large'] });
    expect(await states()).toEqual(['x paused', 'large_x pending']);
  });

  it('pauses no index build that has started, and says what it could pause', async () => {
    await operator.act({ action: 'cancel', index: 'x' }, files);
    await operator.query("update migrations.work set state = 'building' where index_name = 'large_x'");
    expect(await operator.refusal({ action: 'pause', index: 'large_x' }, files)).toBe(
      `No build of 'large_x' is in a state for this action.
Applied: nothing.
Next: name one of: x on public.large (cancelled), large_x on public.large (building).`,
    );
  });
});

describe('a backfill', () => {
  it.each(firstOf(1, [['pause', 'resume'] as const, ['cancel', 'retry'] as const]))(
    'that meets a %s in the middle of a batch does not commit it, so that it is done once',
    async (stops, goesOn) => {
      await operator.deploy(table);
      await operator.query(
        "create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(0.001); return new; end'; create trigger slow before update on large for each row execute function slow()",
      );
      const slow = {
        ...table,
        '2_fill.sql': '-- migrate: backfill batch 500ms\nupdate large set x = x + 1;',
      };
      await operator.run(slow);
      let asked: Promise<object> | undefined;
      // Called before each batch, the one before still uncommitted.
      const yields = () => {
        asked ??= operator.act({ action: stops, index: 'x' }, slow);
        return false;
      };
      await turnOf(operator.database, { table: 'large', yields, migrations: await compile(slow) });
      await asked;
      const before = await written();
      expect(await operator.query('select count(*)::int as written from large where x > id')).toEqual([
        { written: before },
      ]);
      await operator.query('drop trigger slow on large');
      await operator.act({ action: goesOn, index: 'x' }, slow);
      expect(await operator.loop(slow)).toEqual({ outcome: 'valid', message: '' });
      expect(await operator.query('select count(*)::int as wrong from large where x <> id + 1')).toEqual([
        { wrong: 0 },
      ]);
    },
  );

  exhaustive.it('that is cancelled continues from where it was when it is tried again', async () => {
    await operator.deploy(table);
    await operator.run(files);
    await turn(1);
    const before = await written();
    expect(await operator.act({ action: 'cancel', index: 'x' }, files)).toEqual({
      cancelled: 'x on public.large',
    });
    await operator.loop(files);
    expect(await written()).toBe(before);
    expect(await states()).toEqual(['x cancelled', 'large_x done']);
    expect(await operator.act({ action: 'retry' }, files)).toEqual({ retried: ['x on public.large'] });
    expect(await operator.loop(files)).toEqual({ outcome: 'valid', message: '' });
    expect(await operator.query('select count(*)::int as wrong from large where x <> id + 1')).toEqual([
      { wrong: 0 },
    ]);
  });
});
