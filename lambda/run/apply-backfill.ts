import { setTimeout as sleep } from 'node:timers/promises';
import { BatchSize, batchStatement, DEFAULT_BATCH_MILLISECONDS } from '../migration/backfill.ts';
import type { BackfillStep } from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import type { PendingStep } from '../migration/plan.ts';
import { inTheWay, sqlstate } from '../migration/sqlstate.ts';
import { parseWalked, type Walk, walkedRelation, walksOf } from '../postgres/catalog/walks.ts';
import {
  type BatchDone,
  insertWalks,
  noteBatch,
  notePause,
  readWalks,
  type StepKey,
  type WalkRow,
  walkAgain,
} from '../postgres/ledger/backfill-rows.ts';
import { forgetRows, insertStep, setStepState } from '../postgres/ledger/ledger.ts';
import { must } from '../postgres/ledger/ledger-write.ts';
import { cleanSession } from '../postgres/session/author-settings.ts';
import type { StatementFault } from '../postgres/session/fault.ts';
import { ROLE_PATH } from '../postgres/session/own-path.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/session/quote.ts';
import type { Session, TextRow } from '../postgres/session/session.ts';
import { limitsAgain } from '../postgres/session/statement-limits.ts';
import { type BatchContext, LedgerMoved, TimeUp } from './apply-batch.ts';
import { restBecause } from './backfill-rest.ts';
import { speakerAt } from './notices.ts';
import { statementFailed } from './statement-failed.ts';
import { type Piece, stepRow } from './step-script.ts';

const SEPARATOR = '\n;\n';
/** A batch that takes so many times what it is to take runs into statement_timeout, and is tried again with half its rows. */
const LONGEST_BATCH = 20;
/** Whether others need the server is looked at so often. */
const LOOK_EVERY_MILLISECONDS = 2_000;
const REPORT_EVERY_MILLISECONDS = 5_000;
/** Attempts of a batch of one row that finds it locked. */
const MOST_ATTEMPTS = 12;
const FIRST_BLOCKS = 64;
/** Where the upper bound of a batch is handed from our question to the author's statement in one message. */
const UNTIL = 'migrations.backfill_until';

/**
 * Does a statement in batches, each a transaction of its own: its bounds, the statement, and in the ledger how far it
 * came. Cut off anywhere, the next run goes on behind the last batch that was committed. Throws TimeUp when the run's
 * time is over.
 */
export async function applyBackfill(
  session: Session,
  { pending, step }: { readonly pending: PendingStep; readonly step: BackfillStep },
  context: BatchContext,
): Promise<void> {
  const work = new BackfillInProgress(session, { pending, step }, context);
  try {
    await work.apply();
  } finally {
    await session
      .script(['rollback', ...cleanSession(context.sessionSettings)].join(';\n'))
      .catch(() => undefined);
  }
}

class BackfillInProgress {
  readonly #session: Session;
  readonly #pending: PendingStep;
  readonly #step: BackfillStep;
  readonly #context: BatchContext;
  readonly #key: StepKey;
  #walks: readonly Walk[] = [];
  /** Was sent and is not committed: the next message commits it. */
  #open: BatchDone | undefined;
  #lookedAt = 0;
  #othersActive = false;
  #reportedAt = Date.now();
  readonly #begun = { at: Date.now(), walked: 0 };
  #totals = { written: 0, walked: 0, estimated: 0 };

  constructor(
    session: Session,
    { pending, step }: { readonly pending: PendingStep; readonly step: BackfillStep },
    context: BatchContext,
  ) {
    this.#session = session;
    this.#pending = pending;
    this.#step = step;
    this.#context = context;
    this.#key = { version: pending.migration.version, step: step.number };
  }

  async apply(): Promise<void> {
    const { ledgerSchema } = this.#context;
    this.#walks = await this.#findWalks();
    const { version } = this.#key;
    if (this.#pending.record === 'repeated') await this.#own(forgetRows(ledgerSchema, { version }));
    if (this.#pending.record !== 'interrupted') await this.#begin();
    for (;;) {
      const rows = await readWalks(this.#session, ledgerSchema, this.#key);
      this.#totals = {
        written: sum(rows, 'written'),
        walked: sum(rows, 'walked'),
        estimated: sum(rows, 'estimatedRows'),
      };
      this.#begun.walked ||= this.#totals.walked;
      for (const row of rows) if (!row.done) await this.#walk(row, this.#walkOf(row));
      if (!(await this.#lookAgain(rows))) break;
    }
    const { migration } = this.#pending;
    await this.#own([
      setStepState(ledgerSchema, this.#key, 'applied'),
      ...(this.#context.mirror?.rowsFor(migration, this.#step) ?? []),
    ]);
  }

  /** The ways through the table as they are now, or the reason why there is none. */
  async #findWalks(): Promise<readonly Walk[]> {
    const { rows, fault } = await this.#ask([walkedRelation(this.#step.backfill)]);
    if (fault !== undefined) throw this.#failed(fault);
    const walked = parseWalked(rows.at(-1));
    if (walked === undefined)
      throw this.#refused(`the table ${this.#step.backfill.table.name} does not exist`);
    const walks = walksOf(this.#step.backfill, walked);
    if (typeof walks === 'string') throw this.#refused(walks);
    return walks;
  }

  async #begin(): Promise<void> {
    const { ledgerSchema, runId } = this.#context;
    const ends = await this.#ends(this.#walks);
    const walks = this.#walks.map((walk, part) => ({
      part,
      table: walk.table,
      oid: walk.oid,
      kind: walk.way.kind,
      key: walk.way.kind === 'key' ? walk.way.columns.map(({ name }) => name) : [],
      until: ends[part],
      estimatedRows: walk.estimatedRows,
    }));
    const { fault } = await this.#session.script(
      [
        'begin',
        ...(this.#pending.record === 'rewritten' ? forgetRows(ledgerSchema, this.#key) : []),
        insertStep(ledgerSchema, stepRow(this.#pending), { state: 'started', runId }),
        ...insertWalks(ledgerSchema, this.#key, walks),
        'commit',
      ].join(SEPARATOR),
    );
    if (fault?.fault.sqlstate === sqlstate.uniqueViolation) throw new LedgerMoved();
    if (fault !== undefined) throw fault;
  }

  /** Where each walk ends: at the highest key, or the last block, that is there now. */
  async #ends(walks: readonly Walk[]): Promise<(readonly string[] | undefined)[]> {
    const { rows, fault } = await this.#ask(walks.map(endOf), walks.length);
    if (fault !== undefined) throw this.#failed(fault);
    return rows.map((row) => parseKey(row?.until ?? null));
  }

  /** The walk that was begun, if its table can still be walked in that way. */
  #walkOf(row: WalkRow): Walk {
    const walk = this.#walks.find(({ oid }) => oid === row.oid);
    const blocks = row.kind === 'blocks' ? [...(row.cursor ?? []), ...(row.until ?? [])] : [];
    if (blocks.some((block) => !/^\d+$/.test(block)))
      throw this.#refused(`what the ledger says of how far it came is no block of ${row.table}`);
    const key = walk?.way.kind === 'key' ? walk.way.columns.map(({ name }) => name) : [];
    if (walk !== undefined && key.join('\0') === row.key.join('\0')) return walk;
    throw this.#refused(
      `${row.table} was walked by ${row.kind === 'key' ? row.key.join(', ') : 'its blocks'}, which can't be gone on with: the table or its key is another one now`,
    );
  }

  async #walk(row: WalkRow, walk: Walk): Promise<void> {
    const { batchMilliseconds = DEFAULT_BATCH_MILLISECONDS, pause } = this.#step.backfill;
    const size = new BatchSize(batchMilliseconds, walk.way.kind === 'blocks' ? FIRST_BLOCKS : undefined);
    const { until } = row;
    if (until === undefined) return;
    let cursor = row.cursor;
    let attempts = 0;
    let narrowing = false;
    for (;;) {
      const bounds = { part: row.part, from: cursor, until, rows: size.rows };
      const sent = (await this.#makeRoom(row, walk, pause)) ?? (await this.#send(walk, bounds));
      if (sent.kind === 'done') {
        const { batch } = sent;
        cursor = batch.to;
        attempts = 0;
        if (!narrowing) size.took(size.rows, batch.milliseconds);
        this.#report(walk, undefined);
        if (batch.done) return;
        continue;
      }
      const { fault } = sent;
      cursor = sent.from;
      const { sqlstate: code } = fault.fault;
      const passes = inTheWay.has(code) || code === sqlstate.queryCanceled;
      const alone = size.rows === 1;
      const forGood = passes ? alone && attempts >= MOST_ATTEMPTS : alone || code.startsWith('42');
      if (forGood) throw await this.#failedAt(walk, { fault, cursor, until });
      narrowing ||= !passes;
      size.halve();
      if (passes) {
        attempts += 1;
        await sleep(Math.min(5_000, 50 * 2 ** attempts) * (0.5 + Math.random() / 2));
      }
    }
  }

  /**
   * Before a batch: is there time, and does anybody need the server more? Where somebody does, the batch before is
   * committed first; if that fails, it is the one to be done again.
   */
  async #makeRoom(row: WalkRow, walk: Walk, pause: number | undefined): Promise<FailedBatch | undefined> {
    const { signal, deadline } = this.#context;
    const longest = (this.#step.backfill.batchMilliseconds ?? DEFAULT_BATCH_MILLISECONDS) * 4;
    if (signal?.aborted === true || (deadline !== undefined && deadline - Date.now() < longest)) {
      const failed = await this.#commit();
      signal?.throwIfAborted();
      if (failed === undefined) throw new TimeUp();
      return failed;
    }
    const last = this.#open?.milliseconds ?? 0;
    if (Date.now() - this.#lookedAt >= LOOK_EVERY_MILLISECONDS) {
      const failed = await this.#commit();
      if (failed !== undefined) return failed;
      await this.#restWhileNeeded(row, walk);
    }
    const times = pause ?? (this.#othersActive ? 1 : 0);
    if (times * last < 1) return undefined;
    const failed = await this.#commit();
    if (failed === undefined) await this.#sleep(times * last);
    return failed;
  }

  async #restWhileNeeded(row: WalkRow, walk: Walk): Promise<void> {
    for (let looks = 0; ; looks += 1) {
      this.#lookedAt = Date.now();
      const { because, othersActive } = await restBecause(this.#session, row.oid);
      this.#othersActive = othersActive;
      if (because === undefined) return;
      if (looks === 0) await this.#own([notePause(this.#context.ledgerSchema, this.#key, row.part, because)]);
      this.#report(walk, because);
      const { deadline } = this.#context;
      if (deadline !== undefined && deadline - Date.now() < 3 * LOOK_EVERY_MILLISECONDS) throw new TimeUp();
      await this.#sleep(LOOK_EVERY_MILLISECONDS);
    }
  }

  async #sleep(milliseconds: number): Promise<void> {
    const { signal } = this.#context;
    await sleep(milliseconds, undefined, signal && { signal }).catch(() => undefined);
    signal?.throwIfAborted();
  }

  /** What commits the batch under way. */
  #commitPieces(): string[] {
    if (this.#open === undefined) return [];
    const { ledgerSchema, sessionSettings } = this.#context;
    const own =
      this.#step.settings.length === 0
        ? []
        : ['reset session authorization', 'reset role', ...sessionSettings];
    return [...own, noteBatch(ledgerSchema, this.#key, this.#open), 'commit'];
  }

  async #commit(): Promise<FailedBatch | undefined> {
    const open = this.#open;
    if (open === undefined) return undefined;
    const pieces = this.#commitPieces();
    const { fault, written } = await this.#session.executeAround(pieces.join(SEPARATOR), NONE);
    if (fault !== undefined) {
      await this.#rollback();
      return { kind: 'failed', from: open.from, fault };
    }
    this.#committed(open, written[pieces.length - 2]);
    return undefined;
  }

  #committed(open: BatchDone, noted: number | undefined): void {
    if (noted !== 1) throw new LedgerMoved();
    this.#open = undefined;
    this.#totals.written += open.written;
    this.#totals.walked += open.walked;
  }

  async #rollback(): Promise<void> {
    this.#open = undefined;
    await this.#session.script('rollback');
  }

  /** Commits the batch before, and does the next one, in one message. The last of a walk is committed at once. */
  async #send(walk: Walk, { part: number, from, until, rows }: Bounds): Promise<Sent> {
    const committing = this.#open;
    const { lockTimeoutSeconds, notices } = this.#context;
    const { backfill, settings, statement } = this.#step;
    const longest = (backfill.batchMilliseconds ?? DEFAULT_BATCH_MILLISECONDS) * LONGEST_BATCH;
    const wait = Math.min(lockTimeoutSeconds * 1000, 1_000);
    const commit = this.#commitPieces();
    const part = walk.isPart
      ? { table: walk.table, quotedAlias: quoteIdentifier(backfill.alias) }
      : undefined;
    const before = [
      ...commit,
      'begin',
      ...settings,
      ...(settings.length === 0
        ? []
        : [limitsAgain({ wait, longestWait: wait, budget: longest, until: 'transaction' })]),
      `set local lock_timeout = ${wait}`,
      `set local statement_timeout = ${longest}`,
      boundQuery(walk, { from, until, rows }),
    ];
    const text = batchStatement(backfill, boundsOf(walk, quoteIdentifier(backfill.alias), from), part);
    const question = before.length - 1;
    const begun = Date.now();
    const outcome = await this.#session.executeAround(
      [...before, text].join(SEPARATOR),
      new Set([question]),
      notices.heard((piecesDone) =>
        piecesDone === before.length
          ? speakerAt(this.#pending.migration.file, this.#step, statement)
          : undefined,
      ),
    );
    if (committing !== undefined && outcome.completed >= commit.length)
      this.#committed(committing, outcome.written[commit.length - 2]);
    if (outcome.fault !== undefined) {
      await this.#rollback();
      // Where COMMIT failed, it was the batch before.
      const redo = outcome.completed < commit.length ? committing?.from : from;
      return { kind: 'failed', from: redo, fault: outcome.fault };
    }
    const bound = outcome.rows[question]?.[0];
    const to = parseKey(bound?.until ?? null) ?? until;
    const last = bound?.last === 't';
    const batch: BatchDone = {
      part: number,
      from,
      to,
      done: last,
      walked:
        walk.way.kind === 'blocks' ? Math.round(this.#rowsPerBlock(walk, until) * rows) : last ? 0 : rows,
      written: outcome.written[before.length] ?? 0,
      milliseconds: Date.now() - begun,
    };
    this.#open = batch;
    return (last ? await this.#commit() : undefined) ?? { kind: 'done', batch };
  }

  #rowsPerBlock(walk: Walk, until: readonly string[]): number {
    return walk.estimatedRows / Math.max(1, Number(until[0]));
  }

  /**
   * Rows that were written meanwhile and still match: their walk begins again, once, where the statement's own WHERE
   * tells them from those that are done.
   */
  async #lookAgain(rows: readonly WalkRow[]): Promise<boolean> {
    const { backfill } = this.#step;
    const { condition } = backfill.text;
    if (!backfill.makesItsWhereFalse || backfill.looksElsewhere || condition === undefined) return false;
    const first = rows.filter(({ walk }) => walk === 1);
    if (first.length === 0) return false;
    const walks = first.map((row) => this.#walkOf(row));
    const looks = walks.map(
      (walk) =>
        `select exists (select from only ${walk.table} as ${quoteIdentifier(backfill.alias)} where ${condition}\n)::pg_catalog.text as left`,
    );
    const { rows: left, fault } = await this.#ask(looks, looks.length);
    if (fault !== undefined) throw this.#failed(fault);
    const again = first.filter((_, at) => left[at]?.left === 'true');
    if (again.length === 0) return false;
    const ends = await this.#ends(again.map((row) => this.#walkOf(row)));
    const { ledgerSchema } = this.#context;
    const begins = again.flatMap((row, at) => {
      const until = ends[at];
      return until === undefined ? [] : [walkAgain(ledgerSchema, this.#key, row.part, until)];
    });
    if (begins.length > 0) await this.#own(begins);
    return begins.length > 0;
  }

  /** Questions of ours under the file's settings, in a transaction that leaves nothing behind: the last `count` rows. */
  async #ask(
    questions: readonly string[],
    count = 1,
  ): Promise<{ rows: (TextRow | undefined)[]; fault: StatementFault | undefined }> {
    const before = [
      'begin',
      ROLE_PATH,
      ...this.#step.settings,
      'set local statement_timeout = 0',
      "set local lock_timeout = '5s'",
    ];
    const outcome = await this.#session.script([...before, ...questions].join(SEPARATOR));
    const rows = outcome.rows.slice(before.length, before.length + count).map(([row]) => row);
    await this.#session.script(['rollback', ...cleanSession(this.#context.sessionSettings)].join(';\n'));
    return { rows, fault: outcome.fault };
  }

  /** Statements about the ledger, as ourselves. */
  async #own(statements: readonly string[]): Promise<void> {
    const clean = this.#step.settings.length === 0 ? [] : cleanSession(this.#context.sessionSettings);
    await must(this.#session, ['begin', ...clean, ...statements, 'commit'].join(';\n'));
  }

  #report(walk: Walk, pause: string | undefined): void {
    const now = Date.now();
    if (now - this.#reportedAt < REPORT_EVERY_MILLISECONDS) return;
    this.#reportedAt = now;
    const { written, walked, estimated } = this.#totals;
    const pace = (walked - this.#begun.walked) / (now - this.#begun.at);
    this.#context.report({
      kind: 'backfilling',
      file: this.#pending.migration.file,
      table: walk.table.replaceAll('"', ''),
      written,
      walked,
      estimated,
      secondsLeft: pace > 0 && estimated > walked ? (estimated - walked) / pace / 1000 : undefined,
      pause,
    });
  }

  #piece(): Piece {
    const { statement } = this.#step;
    return { step: this.#pending, statement, text: statement.text, claim: false, offset: 0 };
  }

  #failed(fault: StatementFault): MigrationError {
    return statementFailed(this.#piece(), fault, { applied: this.#doneSoFar() });
  }

  /** The one row that can't be done, by its key. The step is marked, so that a mended file begins it anew. */
  async #failedAt(
    walk: Walk,
    {
      fault,
      cursor,
      until,
    }: { fault: StatementFault; cursor: readonly string[] | undefined; until: readonly string[] },
  ): Promise<MigrationError> {
    await this.#own([setStepState(this.#context.ledgerSchema, this.#key, 'failed')]);
    if (fault.fault.sqlstate.startsWith('42')) return this.#failed(fault);
    const { rows } = await this.#ask([boundQuery(walk, { from: cursor, until, rows: 1 })]);
    const key = parseKey(rows[0]?.until ?? null) ?? until;
    const table = walk.table.replaceAll('"', '');
    const { way } = walk;
    const named =
      way.kind === 'key'
        ? ` with ${way.columns.map(({ name }, part) => `${name} = ${key[part]}`).join(', ')}`
        : undefined;
    return statementFailed(this.#piece(), fault, {
      what:
        named === undefined
          ? `This backfill failed at a row in block ${Number(key[0]) - 1} of ${table}.`
          : (rows) =>
              rows === 'shown'
                ? `This backfill failed at the row of ${table}${named}.`
                : `This backfill failed at a row of ${table}.`,
      applied: this.#doneSoFar(),
      next: 'correct the row and run again, which goes on with it; or correct the statement and run again, which begins it anew.',
    });
  }

  #doneSoFar(): string {
    const { written } = this.#totals;
    const earlier = this.#context.appliedSoFar();
    return `${earlier === '' ? '' : `${earlier}; `}${written.toLocaleString('en')} ${written === 1 ? 'row' : 'rows'} of this backfill, which stay`;
  }

  #refused(because: string): MigrationError {
    const { statement } = this.#step;
    const { file } = this.#pending.migration;
    return new MigrationError({
      code: 'backfill-refused',
      what: `This statement can't be done in batches: ${because}.`,
      place: { file, position: statement.position, statement: statement.text },
      applied: `${this.#context.appliedSoFar() || 'nothing by this run'}; nothing of this statement.`,
      next: 'see docs/backfills.md for what a backfill needs; without the directive it runs as one statement.',
    });
  }
}

const NONE: ReadonlySet<number> = new Set();

/** Nothing of it is left; what begins behind `from` is to be done again. */
interface FailedBatch {
  readonly kind: 'failed';
  readonly from: readonly string[] | undefined;
  readonly fault: StatementFault;
}

type Sent = FailedBatch | { readonly kind: 'done'; readonly batch: BatchDone };

function sum(rows: readonly WalkRow[], field: 'written' | 'walked' | 'estimatedRows'): number {
  return rows.reduce((total, row) => total + row[field], 0);
}

/** A key travels as a JSON list of texts, so that no number loses digits on the way. */
function parseKey(text: string | null): readonly string[] | undefined {
  return text === null ? undefined : (JSON.parse(text) as string[]);
}

/** A value as text that its type reads back, whatever DateStyle says. */
function asText(column: string): string {
  return `(pg_catalog.to_json(${column}) operator(pg_catalog.#>>) '{}'::pg_catalog.text[])`;
}

function endOf({ table, oid, way }: Walk): string {
  if (way.kind === 'blocks')
    return `select case when file.blocks operator(pg_catalog.>) 0::pg_catalog.int8
            then pg_catalog.json_build_array(file.blocks::pg_catalog.text)::pg_catalog.text end as until
  from (select pg_catalog.pg_relation_size(${oid}::pg_catalog.regclass)
                 operator(pg_catalog./) pg_catalog.current_setting('block_size')::pg_catalog.int8 as blocks) as file`;
  const columns = way.columns.map(({ name }) => `w.${quoteIdentifier(name)}`);
  return `select pg_catalog.json_build_array(${columns.map(asText).join(', ')})::pg_catalog.text as until
  from only ${table} as w order by ${columns.map((column) => `${column} desc`).join(', ')} limit 1`;
}

interface Batch {
  /** Key of the last row before it, or its first block; undefined at the beginning. */
  readonly from: readonly string[] | undefined;
  readonly until: readonly string[];
  readonly rows: number;
}

interface Bounds extends Batch {
  readonly part: number;
}

/** Finds where the batch ends, and leaves it in a setting for the statement that comes in the same message. */
function boundQuery(walk: Walk, { from, until, rows }: Batch): string {
  const end = quoteLiteral(JSON.stringify(until));
  if (walk.way.kind === 'blocks') {
    const to = Math.min(Number(until[0]), Number(from?.[0] ?? 0) + rows);
    const bound = quoteLiteral(JSON.stringify([String(to)]));
    return `select pg_catalog.set_config('${UNTIL}', ${bound}, true) as until, ${to >= Number(until[0])} as last`;
  }
  const { columns } = walk.way;
  const names = columns.map(({ name }) => `w.${quoteIdentifier(name)}`);
  const [first] = columns;
  const operators = quoteIdentifier(first?.operators ?? 'pg_catalog');
  const key = names.length === 1 ? String(names[0]) : `(${names.join(', ')})`;
  const after = from === undefined ? '' : `${key} operator(${operators}.>) ${valuesOf(columns, from)} and `;
  return `select pg_catalog.set_config('${UNTIL}', coalesce(found.bound, ${end}), true) as until,
       found.bound is null or found.bound operator(pg_catalog.=) ${end}::pg_catalog.text as last
  from (select (select pg_catalog.json_build_array(${names.map(asText).join(', ')})::pg_catalog.text
                  from only ${walk.table} as w
                 where ${after}${key} operator(${operators}.<=) ${valuesOf(columns, until)}
                 order by ${names.join(', ')} offset ${rows - 1} limit 1) as bound) as found`;
}

function valuesOf(columns: readonly { readonly type: string }[], values: readonly string[]): string {
  const typed = columns.map(({ type }, at) => `${quoteLiteral(values[at] ?? '')}::${type}`);
  return typed.length === 1 ? String(typed[0]) : `(${typed.join(', ')})`;
}

/** The bounds of a batch, as a condition on the statement's own table. */
function boundsOf({ way }: Walk, alias: string, from: readonly string[] | undefined): string {
  const setting = `pg_catalog.current_setting('${UNTIL}')::pg_catalog.json`;
  const value = (at: number) => `(${setting} operator(pg_catalog.->>) ${at})`;
  if (way.kind === 'blocks') {
    const first = `'(${Number(from?.[0] ?? 0)},0)'::pg_catalog.tid`;
    const behind = `('(' operator(pg_catalog.||) ${value(0)} operator(pg_catalog.||) ',0)')::pg_catalog.tid`;
    return `${alias}.ctid operator(pg_catalog.>=) ${first} and ${alias}.ctid operator(pg_catalog.<) ${behind}`;
  }
  const { columns } = way;
  const operators = quoteIdentifier(columns[0]?.operators ?? 'pg_catalog');
  const names = columns.map(({ name }) => `${alias}.${quoteIdentifier(name)}`);
  const key = names.length === 1 ? String(names[0]) : `(${names.join(', ')})`;
  const typed = columns.map(({ type }, at) => `${value(at)}::${type}`);
  const until = typed.length === 1 ? String(typed[0]) : `(${typed.join(', ')})`;
  const after = from === undefined ? '' : `${key} operator(${operators}.>) ${valuesOf(columns, from)} and `;
  return `${after}${key} operator(${operators}.<=) ${until}`;
}
