import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import { count } from '../../migration/amounts.ts';
import { type Backfill, BatchSize, batchStatement } from '../../migration/backfill.ts';
import { type CompiledMigrations, statementsOf } from '../../migration/migration.ts';
import { type PostgresFault, withDetail, withoutRowValues } from '../../migration/postgres-fault.ts';
import { inTheWay, isPermanent, sqlstate } from '../../migration/sqlstate.ts';
import { blockerKey, lockHolders } from '../../postgres/catalog/blockers.ts';
import { isAwaited, othersInNeed } from '../../postgres/catalog/others-in-need.ts';
import { findWalks, sampleOf, type Walk } from '../../postgres/catalog/walks.ts';
import {
  adoptWalks,
  type BatchDone,
  insertWalk,
  noteBatch,
  notePause,
  readWalks,
  type WalkRow,
  walkAgain,
} from '../../postgres/ledger/backfill-rows.ts';
import { readBuild } from '../../postgres/ledger/build-rows.ts';
import { noteWaiting } from '../../postgres/ledger/build-waiting.ts';
import { must } from '../../postgres/ledger/ledger-write.ts';
import { cleanSession } from '../../postgres/session/author-settings.ts';
import { StatementFault } from '../../postgres/session/fault.ts';
import { ROLE_PATH } from '../../postgres/session/own-path.ts';
import { quoteIdentifier } from '../../postgres/session/quote.ts';
import type { ScriptOutcome, Session, TextRow } from '../../postgres/session/session.ts';
import { limitsAgain } from '../../postgres/session/statement-limits.ts';
import type { Build } from '../build.ts';
import { LONGEST_REST_SECONDS, restSeconds } from '../wait-seconds.ts';
import { type Batch, behindKey, boundQuery, boundsOf, endOf } from './batch-sql.ts';
import { fillProgress } from './build-progress.ts';
import type { TurnRequest } from './turn-request.ts';

const SEPARATOR = '\n;\n';
/**
 * A batch that takes this many times its target runs into statement_timeout, and is retried with half the rows and
 * twice the limit; up to the second limit, for statements whose every batch takes long.
 */
const LONGEST_BATCH = 20;
const MOST_MILLISECONDS = 10_000;
/** How often to check whether others need the server. */
const LOOK_EVERY_MILLISECONDS = 2_000;
const REPORT_EVERY_MILLISECONDS = 5_000;
/** What takes longer to see whether rows are left is seen batch by batch. */
const LONGEST_LOOK_MILLISECONDS = 300_000;
/** Attempts of a batch of one row that takes too long. */
const MOST_ATTEMPTS = 12;
/** An operator paused or cancelled it, or another turn continues it. */
const SOON_SECONDS = 2;
const FIRST_BLOCKS = 64;

/** The result of a turn of a backfill. `come-back`: its time is up, or it has to rest for longer. */
export type FillEnd =
  | { readonly kind: 'filled' }
  | { readonly kind: 'failed'; readonly fault: PostgresFault }
  | { readonly kind: 'come-back'; readonly seconds: number };

/**
 * Runs batches of a started backfill until its end or the turn's, each in its own transaction: its bounds, the
 * statement, and its position in the ledger. If interrupted anywhere, the next turn continues after the last committed
 * batch. Call it under the table lock.
 */
export async function fill(
  session: Session,
  request: TurnRequest,
  { build, own }: { readonly build: Build; readonly own: readonly string[] },
): Promise<FillEnd> {
  const filling = new Filling(session, request, { build, own });
  try {
    return await filling.toTheEnd();
  } catch (error) {
    if (error instanceof Ended) return error.end;
    throw error;
  } finally {
    await session.script(['rollback', ...cleanSession(own)].join(';\n')).catch(() => undefined);
  }
}

/** Thrown inside a walk to end the turn. */
class Ended extends Error {
  readonly end: FillEnd;

  constructor(end: FillEnd) {
    super(end.kind);
    this.end = end;
  }
}

/** Written by insertBuild(). */
const definition = v.looseObject({
  command: v.string(),
  alias: v.string(),
  table: v.object({ name: v.string() }),
  text: v.object({ before: v.string(), table: v.string(), between: v.string(), after: v.string() }),
});

function asRecorded(build: Build): Backfill {
  const written: unknown = JSON.parse(build.definition);
  v.assert(definition, written);
  return written as unknown as Backfill;
}

/** As the code has it that is deployed; as it was handed off where that does not know it. */
export function backfillOf(migrations: CompiledMigrations, build: Build): Backfill {
  return asCompiled(migrations, build) ?? asRecorded(build);
}

/** Undefined if the deployed code does not know the file as it was handed off. */
function asCompiled({ migrations }: CompiledMigrations, build: Build): Backfill | undefined {
  const step = migrations.find(({ version }) => version === build.version)?.steps[build.step];
  const isSame = step !== undefined && statementsOf(step)[0]?.text === build.statement;
  return isSame ? step.long?.backfill : undefined;
}

class Filling {
  readonly #session: Session;
  readonly #request: TurnRequest;
  readonly #build: Build;
  /** Settings that the session started with. */
  readonly #own: readonly string[];
  readonly #backfill: Backfill;
  /** The target duration of a batch, and its end. */
  readonly #wantedMilliseconds: number;
  #longestMilliseconds: number;
  readonly #rows = new Map<number, WalkRow>();
  #readAt = 0;
  #walks: readonly Walk[] = [];
  /** Sent but not committed: the next message commits it. */
  #open: OpenBatch | undefined;
  #lookedAt = 0;
  #othersActive = false;
  #reportedAt = 0;

  constructor(
    session: Session,
    request: TurnRequest,
    { build, own }: { readonly build: Build; readonly own: readonly string[] },
  ) {
    this.#session = session;
    this.#request = request;
    this.#build = build;
    this.#own = own;
    this.#backfill = backfillOf(request.migrations, build);
    this.#wantedMilliseconds =
      this.#backfill.batchMilliseconds ?? request.options.backfillBatchSeconds * 1000;
    this.#longestMilliseconds = this.#wantedMilliseconds * LONGEST_BATCH;
  }

  get #ledger(): string {
    return this.#request.options.ledgerSchema;
  }

  async toTheEnd(): Promise<FillEnd> {
    const walks = await findWalks(this.#session, {
      backfill: this.#backfill,
      settings: this.#build.settings,
    });
    if (typeof walks === 'string') throw impossible(walks);
    this.#walks = walks;
    await this.#asOurselves([adoptWalks(this.#ledger, this.#build)]);
    if ((await this.#read()).length === 0) await this.#begin();
    do {
      for (const row of await this.#read()) if (!row.done) await this.#walk(row, this.#walkOf(row));
    } while (await this.#lookAgain());
    return { kind: 'filled' };
  }

  async #read(): Promise<WalkRow[]> {
    const rows = await readWalks(this.#session, this.#ledger, this.#build.id);
    this.#readAt = Date.now();
    for (const row of rows) this.#rows.set(row.part, row);
    return rows;
  }

  async #begin(): Promise<void> {
    const [ends, rows] = [await this.#ends(this.#walks), await this.#rowsOf(this.#walks)];
    await this.#asOurselves(
      this.#walks.map((walk, part) =>
        insertWalk(this.#ledger, this.#build, {
          part,
          table: walk.table,
          oid: walk.oid,
          kind: walk.way.kind,
          key: walk.way.kind === 'key' ? walk.way.columns.map(({ name }) => name) : [],
          until: ends[part],
          estimatedRows: ends[part] === undefined ? 0 : (rows[part] ?? 0),
        }),
      ),
    );
  }

  /** Estimates the number of rows; for a table without statistics, from some of its blocks. */
  async #rowsOf(walks: readonly Walk[]): Promise<readonly number[]> {
    const unknown = walks.filter(({ estimatedRows }) => estimatedRows === 0);
    if (unknown.length === 0) return walks.map(({ estimatedRows }) => estimatedRows);
    const sampled = await this.#ask(unknown.map(sampleOf));
    const found = new Map(unknown.map(({ oid }, at) => [oid, Number(sampled[at]?.rows ?? 0)]));
    return walks.map(({ oid, estimatedRows }) => found.get(oid) ?? estimatedRows);
  }

  /** Where each walk ends: at the highest key or the last block of now. */
  async #ends(walks: readonly Walk[]): Promise<(readonly string[] | undefined)[]> {
    const rows = await this.#ask(walks.map(endOf));
    return rows.map((row) => parseKey(row?.until ?? null));
  }

  /** The walk that was started, if its table can still be walked that way. */
  #walkOf(row: WalkRow): Walk {
    const walk = this.#walks.find(({ oid }) => oid === row.oid);
    const blocks = row.kind === 'blocks' ? [...(row.cursor ?? []), ...(row.until ?? [])] : [];
    if (blocks.some((block) => !/^\d+$/.test(block)))
      throw impossible(`what the ledger says of how far it came is no block of ${row.table}`);
    const key = walk?.way.kind === 'key' ? walk.way.columns.map(({ name }) => name) : [];
    if (walk?.way.kind === row.kind && key.join('\0') === row.key.join('\0')) return walk;
    throw impossible(
      `${row.table} was walked by ${row.kind === 'key' ? row.key.join(', ') : 'its blocks'}, and can't be continued: the table or its key has changed since`,
    );
  }

  async #walk({ part, until, cursor: begin }: WalkRow, walk: Walk): Promise<void> {
    const size = new BatchSize(
      this.#wantedMilliseconds,
      walk.way.kind === 'blocks' ? FIRST_BLOCKS : undefined,
    );
    if (until === undefined) return;
    let cursor = begin;
    let attempts = 0;
    let narrowing = false;
    for (;;) {
      const bounds = { part, from: cursor, until, rows: size.rows };
      const sent = (await this.#makeRoom(part, walk)) ?? (await this.#send(walk, bounds));
      if (sent.kind === 'done') {
        const { batch } = sent;
        cursor = batch.to;
        if (attempts > 0) await this.#noteBlocker(undefined);
        attempts = 0;
        if (batch.awaited) size.halve();
        else if (!narrowing) size.took(size.rows, batch.milliseconds);
        this.#report(false);
        if (batch.done) return;
        continue;
      }
      const { fault } = sent.fault;
      cursor = sent.from;
      const passes = !isPermanent(fault);
      const alone = size.rows === 1;
      // Whoever waits for a locked row has locked no other: no wait is too long.
      const tooOften = alone && attempts >= MOST_ATTEMPTS && !inTheWay.has(fault.sqlstate);
      if (passes ? tooOften : alone || fault.sqlstate.startsWith('42'))
        throw await this.#failedAt(walk, { fault, cursor, until });
      narrowing ||= !passes;
      size.halve();
      if (fault.sqlstate === sqlstate.queryCanceled) this.#allowMore();
      if (!passes) continue;
      attempts += 1;
      if (inTheWay.has(fault.sqlstate) && attempts > 2) await this.#noteBlocker(walk);
      const why = inTheWay.has(fault.sqlstate)
        ? 'locked rows: another session has rows of the batch locked'
        : `failed batch: ${withoutRowValues(fault).message} (SQLSTATE ${fault.sqlstate})`;
      await this.#rest(part, why, Math.min(5_000, 50 * 2 ** attempts) * (0.5 + Math.random() / 2));
    }
  }

  #allowMore(): void {
    const most = Math.max(MOST_MILLISECONDS, this.#wantedMilliseconds * LONGEST_BATCH);
    this.#longestMilliseconds = Math.min(most, this.#longestMilliseconds * 2);
  }

  /**
   * Before a batch: checks the time, and whether others need the server more. If so, commits the previous batch first;
   * if that fails, the previous batch is the one to repeat.
   */
  async #makeRoom(part: number, walk: Walk): Promise<FailedBatch | undefined> {
    const { milliseconds: last = 0, awaited = false } = this.#open ?? {};
    const leaves = this.#isOver(Math.max(2_000, this.#longestMilliseconds / 5));
    const looks = Date.now() - this.#lookedAt >= LOOK_EVERY_MILLISECONDS;
    const { pause: asGiven = this.#request.options.backfillPause } = this.#backfill;
    const pause = (asGiven ?? (this.#othersActive ? 1 : 0)) * last;
    if (!leaves && !looks && !awaited && pause < 1) return undefined;
    const failed = await this.#commit();
    if (failed !== undefined) return failed;
    if (leaves) throw new Ended({ kind: 'come-back', seconds: 0 });
    if (awaited) {
      const why = 'waiting session: another session waited for a lock that the batch held';
      await this.#rest(part, why, Math.max(last, 50));
    }
    if (looks) await this.#restWhileNeeded(part, walk);
    if (pause >= 1) await sleep(pause);
    return undefined;
  }

  #isOver(milliseconds: number): boolean {
    const { deadline, yields } = this.#request;
    return (deadline !== undefined && deadline - Date.now() < milliseconds) || yields?.() === true;
  }

  async #restWhileNeeded(part: number, walk: Walk): Promise<void> {
    const since = Date.now();
    for (;;) {
      this.#lookedAt = Date.now();
      const { because, othersActive } = await othersInNeed(this.#session, walk.oid);
      this.#othersActive = othersActive;
      if (because === undefined) return;
      await this.#rest(part, because, LOOK_EVERY_MILLISECONDS);
      if (this.#isOver(2 * LOOK_EVERY_MILLISECONDS)) throw new Ended({ kind: 'come-back', seconds: 0 });
      if (this.#request.deadline !== undefined && Date.now() - since > LONGEST_REST_SECONDS * 1000)
        throw new Ended({ kind: 'come-back', seconds: restSeconds(this.#build.secondsSinceFirstStart ?? 0) });
    }
  }

  async #rest(part: number, why: string, milliseconds: number): Promise<void> {
    const build = await readBuild(this.#session, this.#ledger, this.#build.id);
    if (build?.state !== 'building') throw notOurs();
    const row = this.#rows.get(part);
    const isNews = row?.pause?.split(':')[0] !== why.split(':')[0];
    if (row !== undefined) this.#rows.set(part, { ...row, pause: why });
    if (isNews) await this.#asOurselves([notePause(this.#ledger, this.#build.id, part, why)]);
    this.#report(isNews);
    await sleep(milliseconds);
  }

  /** Records who blocks a batch of one row, for the alarm on stalled builds. */
  async #noteBlocker(walk: Walk | undefined): Promise<void> {
    const { id, schema, table } = this.#build;
    const [holder] = walk === undefined ? [] : await lockHolders(this.#session, [{ schema, name: table }], 1);
    const build = await readBuild(this.#session, this.#ledger, id);
    if (build !== undefined)
      await noteWaiting(this.#session, this.#ledger, build, holder && blockerKey(holder));
  }

  /** The statements that commit the batch under way. */
  #commitPieces(): string[] {
    if (this.#open === undefined) return [];
    const own =
      this.#build.settings.length === 0 ? [] : ['reset session authorization', 'reset role', ...this.#own];
    return [...own, noteBatch(this.#ledger, this.#build.id, this.#open), 'commit'];
  }

  async #commit(): Promise<FailedBatch | undefined> {
    const open = this.#open;
    if (open === undefined) return undefined;
    const pieces = this.#commitPieces();
    const outcome = await this.#session.execute(pieces.join(SEPARATOR));
    if (outcome.fault !== undefined) {
      await this.#rollback();
      if (isUnnoted(pieces, outcome)) throw notOurs();
      return { kind: 'failed', from: open.from, fault: outcome.fault };
    }
    this.#committed(open);
    return undefined;
  }

  #committed(open: BatchDone): void {
    this.#open = undefined;
    const row = this.#rows.get(open.part);
    if (row === undefined) return;
    this.#rows.set(open.part, {
      ...row,
      cursor: open.to,
      done: open.done,
      walked: row.walked + open.walked,
      written: row.written + open.written,
      pause: undefined,
    });
  }

  async #rollback(): Promise<void> {
    this.#open = undefined;
    await this.#session.script('rollback');
  }

  /** Commits the previous batch and runs the next one in one message. The last batch of a walk is committed at once. */
  async #send(walk: Walk, { part: number, from, until, rows }: Bounds): Promise<Sent> {
    const committing = this.#open;
    const backfill = this.#backfill;
    const { settings } = this.#build;
    const longest = Math.round(this.#longestMilliseconds);
    // Not longer than a batch: whoever waits for rows that it has would wait for those that it waits for, too. And
    // shorter than the statement's own, so that what is only locked is told from what takes too long.
    const patience = Math.max(100, this.#wantedMilliseconds);
    const { lockTimeoutSeconds } = this.#request.options;
    const wait = Math.round(Math.min(lockTimeoutSeconds * 1000, patience, longest / 2));
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
      [...before, text, isAwaited(walk.oid)].join(SEPARATOR),
      new Set([question, question + 2]),
    );
    if (committing !== undefined && outcome.completed >= commit.length) this.#committed(committing);
    if (outcome.fault !== undefined) {
      await this.#rollback();
      if (isUnnoted(commit, outcome)) throw notOurs();
      // If COMMIT failed, the previous batch did.
      const redo = outcome.completed < commit.length ? committing?.from : from;
      return { kind: 'failed', from: redo, fault: outcome.fault };
    }
    const bound = outcome.rows[question]?.[0];
    const to = parseKey(bound?.until ?? null) ?? until;
    const last = bound?.last === 't';
    const batch = {
      part: number,
      from,
      to,
      done: last,
      walked:
        walk.way.kind === 'blocks' ? Math.round(this.#rowsPerBlock(walk, until) * rows) : last ? 0 : rows,
      written: outcome.written[before.length] ?? 0,
      milliseconds: Date.now() - begun,
      awaited: outcome.rows[question + 2]?.[0]?.awaited === 'true',
    };
    this.#open = batch;
    return (last ? await this.#commit() : undefined) ?? { kind: 'done', batch };
  }

  #rowsPerBlock(walk: Walk, until: readonly string[]): number {
    return walk.estimatedRows / Math.max(1, Number(until[0]));
  }

  /**
   * Rows written meanwhile that still match get a second walk, if the statement's own WHERE tells them from finished
   * ones.
   */
  async #lookAgain(): Promise<boolean> {
    const { alias, makesItsWhereFalse, looksElsewhere, text } = this.#backfill;
    if (!makesItsWhereFalse || looksElsewhere || text.condition === undefined) return false;
    const first = (await this.#read()).filter(({ walk }) => walk === 1);
    if (first.length === 0) return false;
    const { deadline } = this.#request;
    // Not longer in a terminal either: it would keep VACUUM from cleaning up in the whole database.
    const limit = Math.max(
      1_000,
      Math.round(deadline === undefined ? LONGEST_LOOK_MILLISECONDS : (deadline - Date.now()) / 2),
    );
    const left = await this.#ask(
      first.map((row) => {
        const { table, way } = this.#walkOf(row);
        const name = quoteIdentifier(alias);
        const some = `select from only ${table} as ${name} where (${text.condition}\n)`;
        if (row.until === undefined)
          return `select 'false' as before, exists (${some})::pg_catalog.text as behind`;
        const behind = `(${behindKey(way, name, row.until)})`;
        return `select exists (${some} and not ${behind})::pg_catalog.text as before, exists (${some} and ${behind})::pg_catalog.text as behind`;
      }),
      limit,
    ).catch((error: unknown) => {
      // The check would take too long for a function: the walk does it, batch by batch.
      if (error instanceof StatementFault && error.fault.sqlstate === sqlstate.queryCanceled)
        return first.map((): TextRow => ({ before: 'true' }));
      throw error;
    });
    const again = first.filter((_, at) => left[at]?.before === 'true' || left[at]?.behind === 'true');
    const ends = again.length === 0 ? [] : await this.#ends(again.map((row) => this.#walkOf(row)));
    const begins = again.flatMap((row, at) => {
      const until = ends[at];
      // New rows mostly have higher keys, so the second walk starts after the first.
      const from = left[first.indexOf(row)]?.before === 'true' ? undefined : row.until;
      return until === undefined ? [] : [walkAgain(this.#ledger, this.#build.id, row.part, { from, until })];
    });
    if (begins.length > 0) await this.#asOurselves(begins);
    return begins.length > 0;
  }

  /**
   * Returns a row for each of these queries, run under the file's settings in a transaction that leaves nothing behind.
   */
  async #ask(questions: readonly string[], milliseconds = 0): Promise<(TextRow | undefined)[]> {
    const before = [
      'begin',
      ROLE_PATH,
      ...this.#build.settings,
      `set local statement_timeout = ${milliseconds}`,
      "set local lock_timeout = '5s'",
    ];
    const { rows, fault } = await this.#session.script([...before, ...questions].join(SEPARATOR));
    await this.#session.script(['rollback', ...cleanSession(this.#own)].join(';\n'));
    if (fault === undefined) return questions.map((_, at) => rows[before.length + at]?.[0]);
    if (isPermanent(fault.fault)) throw new Ended({ kind: 'failed', fault: fault.fault });
    throw fault;
  }

  /** Statements about the ledger. */
  async #asOurselves(statements: readonly string[]): Promise<void> {
    const clean = this.#build.settings.length === 0 ? [] : cleanSession(this.#own);
    await must(this.#session, ['begin', ...clean, ...statements, 'commit'].join(';\n'));
  }

  #report(isNews: boolean): void {
    if (!isNews && Date.now() - this.#reportedAt < REPORT_EVERY_MILLISECONDS) return;
    this.#reportedAt = Date.now();
    const build = this.#build;
    const since = (Date.now() - this.#readAt) / 1000;
    const walks = [...this.#rows.values()].map((row) => ({ ...row, seconds: row.seconds + since }));
    const progress = fillProgress(build, walks);
    if (progress !== undefined) this.#request.report({ kind: 'progress', build, progress });
  }

  /** Narrows a failing batch down to the one row, and names its key. */
  async #failedAt(
    walk: Walk,
    {
      fault,
      cursor,
      until,
    }: { fault: PostgresFault; cursor: readonly string[] | undefined; until: readonly string[] },
  ): Promise<Ended> {
    const written = [...this.#rows.values()].reduce((sum, row) => sum + row.written, 0);
    const done = `${count(written, 'row')} of this backfill are done, and stay.`;
    if (fault.sqlstate.startsWith('42')) return failed(withDetail(fault, done, done));
    const [row] = await this.#ask([boundQuery(walk, { from: cursor, until, rows: 1 })]);
    const key = parseKey(row?.until ?? null) ?? until;
    const table = walk.table.replaceAll('"', '');
    const { way } = walk;
    const said = (at: string) => `It failed at ${at}; ${done}`;
    const [shown, plain] =
      way.kind === 'key'
        ? [
            `the row of ${table} with ${way.columns.map(({ name }, part) => `${name} = ${key[part]}`).join(', ')}`,
            `a row of ${table}`,
          ]
        : [`a row in block ${Number(key[0]) - 1} of ${table}`, undefined];
    return failed({
      ...withDetail(fault, said(shown), said(plain ?? shown)),
      hint: 'Correct the row and retry, which continues with it; or correct the statement and deploy, which starts it again.',
    });
  }
}

function failed(fault: PostgresFault): Ended {
  return new Ended({ kind: 'failed', fault });
}

function impossible(because: string): Ended {
  return failed({
    sqlstate: sqlstate.featureNotSupported,
    message: `this statement can't be done in batches: ${because}`,
  });
}

function notOurs(): Ended {
  return new Ended({ kind: 'come-back', seconds: SOON_SECONDS });
}

/** Whether it was noteBatch() that failed, which comes before the COMMIT: somebody else has the backfill now. */
function isUnnoted(commit: readonly string[], { completed, fault }: Omit<ScriptOutcome, 'rows'>): boolean {
  return completed === commit.length - 2 && fault?.fault.sqlstate === sqlstate.divisionByZero;
}

/** Was rolled back; what starts after `from` has to be done again. */
interface FailedBatch {
  readonly kind: 'failed';
  readonly from: readonly string[] | undefined;
  readonly fault: StatementFault;
}

type Sent = FailedBatch | { readonly kind: 'done'; readonly batch: OpenBatch };

/** `awaited`: another session waits for one of its locks. */
interface OpenBatch extends BatchDone {
  readonly awaited: boolean;
}

/** A key is passed as a JSON list of texts, so that no number loses digits. */
function parseKey(text: string | null): readonly string[] | undefined {
  return text === null ? undefined : (JSON.parse(text) as string[]);
}

interface Bounds extends Batch {
  readonly part: number;
}
