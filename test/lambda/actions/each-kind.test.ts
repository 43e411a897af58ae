import { beforeEach, describe, expect, it } from 'vitest';
import { defaultOptions, type MigrationOptions } from '../../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../../lambda/postgres/session/connection-target.ts';
import { type DeployProgress, deployProgress } from '../../../lambda/status/deploy-progress.ts';
import { migrateUp } from '../../../local/cli/migrate-up.ts';
import { whole } from '../../support/exhaustive.ts';
import { expectEventually } from '../../support/expect-eventually.ts';
import { compile, type Files, SMALL_TABLE_ROWS } from '../run/scenario.ts';
import { type KindOfWork, kindsOfWork } from './kinds-of-work.ts';
import { freshOperator, type Operator } from './operator.ts';

let operator: Operator;
beforeEach(async () => {
  operator = await freshOperator();
});

/** Its files, and what a test asks of it again and again. */
class Work {
  readonly kind: KindOfWork;
  readonly tables: Files;
  readonly files: Files;

  constructor(kind: KindOfWork) {
    this.kind = kind;
    this.tables = { '1_t.sql': kind.tables };
    this.files = { ...this.tables, '2_work.sql': kind.work, '2_work.down.sql': kind.undo };
  }

  /** Handed off, and pending. */
  async handedOff(files: Files = this.files): Promise<void> {
    await operator.deploy(this.tables);
    await operator.query('analyze t');
    await operator.run(files);
    expect(await this.states()).toEqual(['pending']);
  }

  /** The same, and it cannot succeed. */
  async broken(): Promise<void> {
    const { when, sql } = this.kind.breaks;
    await operator.deploy(this.tables);
    if (when === 'before') await operator.query(sql);
    await operator.run(this.files, { dataCheckSeconds: 0 });
    if (when === 'after') await operator.query(sql);
  }

  async states(): Promise<string[]> {
    const rows = await operator.query<{ state: string }>('select state from migrations.work order by id');
    return rows.map(({ state }) => state);
  }

  async expectDone(): Promise<void> {
    expect(await this.states()).toEqual(['done']);
    expect(await operator.query(`select ${this.kind.done} as done`)).toEqual([{ done: true }]);
  }

  /** Handed off, begun, and held by somebody's lock. */
  async underWay(files: Files = this.files) {
    await this.handedOff(files);
    const holder = await operator.session();
    await holder.query(`begin; ${this.kind.held}`);
    const looping = operator.loop(files, { attachSeconds: 1 });
    await expectEventually(async () => (await this.states())[0] === 'building', {
      what: 'the work to begin',
      withinMilliseconds: 60_000,
    });
    return { looping, release: () => holder.query('commit') };
  }

  /** What CloudFormation is told of a deploy of these files. */
  async progress(waitFor: MigrationOptions['waitFor'], files = this.files): Promise<DeployProgress> {
    return deployProgress(parseConnectionUrl(operator.database.url, 'The URL'), {
      options: { ...defaultOptions, smallTableRows: SMALL_TABLE_ROWS, waitFor },
      migrations: await compile(files),
    });
  }
}

const valid = { outcome: 'valid', message: '' };

/** What a person or a deploy does to work: the same of each kind. */
const treatments: Readonly<Record<string, (work: Work) => Promise<void>>> = {
  'is not undone while it is open; undone when it is done, it is done again by the next deploy': async (
    work,
  ) => {
    const { kind, files } = work;
    await work.handedOff();
    expect(await operator.refusal({ action: 'undo', to: '1', confirm: true }, files)).toMatch(
      new RegExp(
        `^The build of \\S+ on \\S+ is under way\\.\nApplied: nothing was undone\\.\nNext: wait for it, or stop it: \\{"action": "cancel", "index": "${kind.name}"\\}; then undo again\\.$`,
      ),
    );
    expect(await operator.loop(files)).toEqual(valid);
    await work.expectDone();
    expect(await operator.act({ action: 'undo', to: '1', confirm: true }, files)).toEqual({
      undone: ['2_work'],
    });
    expect(await operator.steps()).toEqual(['1.0 applied']);
    expect(await work.states()).toEqual([]);
    expect(await operator.deploy(files)).toEqual(valid);
    await work.expectDone();
  },

  'is cancelled and its file undone, and the next deploy does it': async (work) => {
    const { kind, files } = work;
    await work.handedOff();
    await operator.act({ action: 'cancel', index: kind.name }, files);
    await operator.act({ action: 'undo', to: '1', confirm: true }, files);
    expect(await operator.steps()).toEqual(['1.0 applied']);
    expect(await operator.deploy(files)).toEqual(valid);
    await work.expectDone();
  },

  'is left by `up --no-wait`, and done by the next up': async (work) => {
    const { files } = work;
    await operator.deploy(work.tables);
    const up = async (wait: boolean) =>
      migrateUp({
        migrations: await compile(files),
        target: parseConnectionUrl(operator.database.url, 'The URL'),
        options: { ...defaultOptions, smallTableRows: SMALL_TABLE_ROWS },
        cause: { kind: 'command line', actor: 'test' },
        deadline: undefined,
        report: () => {},
        wait,
        failedEarly: () => {},
      });
    expect(await up(false)).toMatchObject({ outcome: 'unfinished', failure: undefined });
    expect(await work.states()).toEqual(['pending']);
    expect(await up(true)).toMatchObject({ outcome: 'done', failure: undefined });
    await work.expectDone();
  },

  'is waited for by a deploy as waitFor says, alone and with a step that needs it': async (work) => {
    const { kind, files } = work;
    await work.handedOff();
    const open = { kind: 'complete', open: true };
    expect(await work.progress('nothing')).toEqual(open);
    expect(await work.progress('migrations')).toEqual(open);
    expect(await work.progress('index-builds')).toEqual({
      kind: 'in-progress',
      builds: [`${kind.described}: pending`],
      waiting: undefined,
    });
    const more = { ...files, '3_needs_it.sql': kind.needsIt };
    expect(await operator.run(more)).toMatchObject({
      outcome: 'waiting',
      waiting: { file: '3_needs_it.sql' },
    });
    const waiting = {
      kind: 'in-progress',
      builds: [`${kind.described}: pending`],
      waiting: '3_needs_it.sql',
    };
    expect(await work.progress('nothing', more)).toEqual(open);
    expect(await work.progress('migrations', more)).toEqual(waiting);
    expect(await work.progress('index-builds', more)).toEqual(waiting);
    expect(await operator.loop(more)).toEqual(valid);
    await work.expectDone();
    const done = { kind: 'complete', open: false };
    for (const waitFor of ['nothing', 'migrations', 'index-builds'] as const)
      expect(await work.progress(waitFor, more)).toEqual(done);
    expect((await operator.steps()).every((line) => line.endsWith('applied'))).toBe(true);
  },

  'fails a deploy that waits for it, and the retry after it is mended succeeds': async (work) => {
    const { kind, files } = work;
    await work.broken();
    const settled = await operator.loop(files, { dataCheckSeconds: 0 });
    expect(settled).toMatchObject({ outcome: 'failed', message: expect.stringContaining(kind.fails) });
    expect(await work.states()).toEqual(['failed']);
    await expect(work.progress('index-builds')).rejects.toThrow(kind.fails);
    expect(await work.progress('nothing')).toEqual({ kind: 'complete', open: false });
    await operator.query(kind.mends);
    expect(await operator.act({ action: 'retry', index: kind.name }, files)).toEqual({
      retried: [kind.described],
    });
    expect(await operator.loop(files)).toEqual(valid);
    await work.expectDone();
  },

  'that has failed is tried again by a later deploy, and lets other files go on': async (work) => {
    const { kind, files } = work;
    await work.broken();
    await operator.loop(files, { dataCheckSeconds: 0 });
    const more = { ...files, '3_other.sql': 'create table elsewhere (id int);' };
    await operator.deploy(more, { dataCheckSeconds: 0 }).catch(() => undefined);
    expect(await work.states()).toEqual(['failed']);
    await operator.query(kind.mends);
    expect(await operator.deploy(more)).toEqual(valid);
    await work.expectDone();
    expect((await operator.steps()).every((line) => line.endsWith('applied'))).toBe(true);
  },

  'that has failed is done as its file says once the file is corrected': async (work) => {
    const { kind, tables } = work;
    await work.broken();
    await operator.loop(work.files, { dataCheckSeconds: 0 });
    await operator.query(kind.mends);
    const corrected = { ...tables, '2_work.sql': `${kind.work.trimEnd().replace(/;$/, ' ;')} -- corrected` };
    expect(await operator.deploy(corrected)).toEqual(valid);
    await work.expectDone();
  },

  'is found under way by a later deploy, which does not begin it again': async (work) => {
    const { files } = work;
    const { looping, release } = await work.underWay();
    const more = { ...files, '3_other.sql': 'create table elsewhere (id int);' };
    const { outcome } = await operator.run(more);
    expect(['done', 'waiting']).toContain(outcome);
    await operator.run(files);
    expect(await work.states()).toEqual(['building']);
    await release();
    expect(await looping).toEqual(valid);
    await work.expectDone();
    expect(await operator.loop(more)).toEqual(valid);
    expect((await operator.steps()).every((line) => line.endsWith('applied'))).toBe(true);
  },

  'is cancelled before it begins, and retried': async (work) => {
    const { kind, files } = work;
    await work.handedOff();
    expect(await operator.act({ action: 'cancel', index: kind.name }, files)).toEqual({
      cancelled: kind.described,
    });
    await operator.loop(files);
    expect(await work.states()).toEqual(['cancelled']);
    await operator.act({ action: 'retry' }, files);
    expect(await operator.loop(files)).toEqual(valid);
    await work.expectDone();
  },

  'is cancelled while it is under way, leaves nothing behind, and is retried': async (work) => {
    const { kind, files } = work;
    const { looping, release } = await work.underWay();
    expect(await operator.act({ action: 'cancel', index: kind.name }, files)).toEqual({
      cancelled: kind.described,
    });
    expect(await work.states()).toEqual(['cancelled']);
    await release();
    expect(await looping).toMatchObject({ outcome: 'failed', message: expect.stringContaining('cancelled') });
    expect(await operator.query(`select ${kind.done} as done`)).not.toEqual([{ done: true }]);
    expect(
      await operator.adminQuery(
        `select application_name from pg_stat_activity
          where datname = current_database() and application_name like 'migrations build%' and state <> 'idle'`,
      ),
    ).toEqual([]);
    await operator.act({ action: 'retry', index: kind.name }, files);
    expect(await operator.loop(files)).toEqual(valid);
    await work.expectDone();
  },

  'is paused before it begins, by turns and deploys left as it is, and resumed': async (work) => {
    const { kind, files } = work;
    await work.handedOff();
    expect(await operator.act({ action: 'pause', index: kind.name }, files)).toEqual({
      paused: [kind.described],
    });
    await operator.run(files);
    expect(await work.states()).toEqual(['paused']);
    expect(await work.progress('index-builds')).toEqual({
      kind: 'in-progress',
      builds: [`${kind.described}: paused`],
      waiting: undefined,
    });
    const [build] = (await operator.status(files)).builds;
    expect(build).toMatchObject({ state: 'paused', attempts: 0 });
    expect(await operator.act({ action: 'resume' }, files)).toEqual({ resumed: [kind.described] });
    expect(await operator.loop(files)).toEqual(valid);
    await work.expectDone();
  },

  'is not paused once it has begun, unless it is a backfill': async (work) => {
    const { kind, files } = work;
    const { looping, release } = await work.underWay();
    const asked = operator.act({ action: 'pause', index: kind.name }, files);
    if (kind.name === 'y') {
      expect(await asked).toEqual({ paused: [kind.described] });
      expect(await work.states()).toEqual(['paused']);
      await release();
      expect(await operator.act({ action: 'resume', index: kind.name }, files)).toEqual({
        resumed: [kind.described],
      });
    } else {
      await expect(asked).rejects.toThrow(
        `No build of '${kind.name}' is in a state for this action.
Applied: nothing.
Next: name one of: ${kind.described} (building).`,
      );
      await release();
    }
    expect(await looping).toEqual(valid);
    await work.expectDone();
  },

  'is finished by code that does not know it, after a rollback': async (work) => {
    const { tables } = work;
    await work.handedOff();
    await operator.run(tables);
    expect(await work.states()).toEqual(['pending']);
    expect(await operator.loop(tables)).toEqual(valid);
    await work.expectDone();
    expect((await operator.steps()).every((line) => line.endsWith('applied'))).toBe(true);
  },
};

/** What `npm test` runs of the matrix. */
const SAMPLE: ReadonlySet<string> = new Set([
  'the validation of a FOREIGN KEY is cancelled before it begins, and retried',
  'a refresh CONCURRENTLY is paused before it begins, by turns and deploys left as it is, and resumed',
]);

describe.each(Object.entries(kindsOfWork))('%s', (name, kind) => {
  for (const [how, treated] of Object.entries(treatments)) {
    const runs = whole || SAMPLE.has(`${name} ${how}`);
    it.runIf(runs)(how, () => treated(new Work(kind)), 120_000);
  }
});
