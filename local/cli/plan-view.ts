import type { StepPlan } from '../../lambda/foresight/foresight.ts';
import type { PlanFinding, RunPlan } from '../../lambda/foresight/plan-run.ts';
import type { BackfillPlan } from '../../lambda/foresight/planned-backfills.ts';
import type { TablePlan } from '../../lambda/foresight/planned-tables.ts';
import { byteSize, count, duration } from '../../lambda/migration/amounts.ts';
import { isIndexBuild } from '../../lambda/migration/build.ts';
import type { LockWork } from '../../lambda/migration/lock-modes.ts';
import type { BuildStage, PlannedBuild, Stage } from '../../lambda/migration/stage.ts';
import type { Terminal } from './terminal.ts';

/** A plan for a person at a terminal: what each step does, on which tables, whom it keeps waiting, in what order. */
export function planView(plan: RunPlan, colors: Terminal['colors']): string {
  const lines: string[] = [];
  for (const { file, steps } of plan.files) {
    lines.push(colors.bold(file));
    for (const step of steps) {
      const waits = step.waits === undefined ? '' : colors.yellow(`  waits: ${step.waits}`);
      lines.push(`  ${step.step}. line ${step.line}: ${howOf(step)}${waits}`);
      for (const table of step.tables) lines.push(`       ${tableLine(table, colors)}`);
    }
  }
  if (plan.files.length === 0) lines.push('Nothing is pending.');
  if (plan.stages.length > 0) lines.push('', colors.bold('In what order'), ...stageLines(plan.stages));
  const found = plan.findings.map((finding) => colors.yellow(findingText(finding)));
  if (found.length > 0) lines.push('', colors.bold('Found in the database'), ...found);
  return [...lines, ...remarks(plan).map((remark) => colors.yellow(remark)), ...refusal(plan, colors)].join(
    '\n',
  );
}

const HOW: Readonly<Record<StepPlan['how'], string>> = {
  transaction: 'in one transaction',
  autocommit: 'by itself, in no transaction',
  inline: 'at once, in its plain form: the table is small or new',
  'hand-off': 'handed off: done by the loop',
};

const BY_SIZE =
  'at once if the table is small when its turn comes, else handed off: a step before it may add rows';

export function howOf({
  how,
  work,
  bySize,
  estimatedSeconds,
  statements,
  resources = [],
  backfill,
}: StepPlan): string {
  if (backfill !== undefined) return backfillText(backfill);
  const time = about(estimatedSeconds);
  const count = statements.length === 1 ? '' : ` (${statements.length} statements)`;
  const own = resources.length === 0 ? '' : `; with ${resources.join(', ')} of the file`;
  const what = work === 'index build' ? 'handed off: built concurrently by the loop' : HOW[how];
  return `${bySize ? BY_SIZE : what}${count}${time}${own}`;
}

function backfillText({ rows, batches, seconds, key, walks, refused }: BackfillPlan): string {
  if (refused !== undefined) return `would be refused: ${refused}`;
  const many =
    batches === undefined
      ? 'batches'
      : `about ${batches.toLocaleString('en')} ${batches === 1 ? 'batch' : 'batches'}`;
  const parts = walks === 1 ? '' : ` of each of its ${walks} parts`;
  // A table that was never analysed counts as empty.
  const size = rows === 0 ? many : `about ${count(rows, 'row')} in ${many}`;
  return `handed off: ${size}, by ${key}${parts}${about(seconds)}`;
}

function tableLine(table: TablePlan, colors: Terminal['colors']): string {
  const { lock, blocks } = table;
  const name = `${table.table} (${sizeOf(table)})`;
  if (lock === undefined || blocks === undefined) return name;
  // Nobody else can be using a table that does not exist yet.
  const text = `${name}: ${lock} lock, blocks ${blocks}${whileOf(table)}`;
  const harmless = table.isNew || blocks === 'nothing' || blocks === 'other DDL';
  return harmless ? text : colors.yellow(text);
}

const WHILE: Readonly<Record<LockWork, string>> = {
  moment: ' for a moment',
  scan: ' while it reads the table',
  build: ' while it builds the index',
  write: ' while it writes',
  rewrite: ' while it rewrites the table',
};

/** Less than a person notices. */
const BLINK_SECONDS = 0.1;

/** `, about 2.4 s`; empty for a moment. */
function about(seconds: number | undefined): string {
  return seconds === undefined || seconds < BLINK_SECONDS ? '' : `, about ${duration(seconds)}`;
}

/** The duration of a lock that blocks no application is not shown. */
export function whileOf({ work, seconds, blocks }: TablePlan): string {
  if (work === undefined) return '';
  return `${WHILE[work]}${blocks === 'nothing' || blocks === 'other DDL' ? '' : about(seconds)}`;
}

/** `new`, `412 rows`, `over 10,000 rows, 1.2 GB` */
export function sizeOf({ isNew, rows, moreRows, uncounted, bytes }: TablePlan): string {
  if (isNew) return 'new';
  if (uncounted !== undefined) return `counts as large: ${uncounted}`;
  if (rows === undefined) return 'size not looked at';
  const count = `${moreRows ? 'over ' : ''}${rows.toLocaleString('en')} row${rows === 1 ? '' : 's'}`;
  return bytes === undefined || bytes === 0 ? count : `${count}, ${byteSize(bytes)}`;
}

function stageLines(stages: readonly Stage[]): string[] {
  return stages.flatMap((stage, at) => {
    const number = `${at + 1}.`;
    if (stage.kind === 'apply') return [`  ${number} ${applyText(stage)}`];
    const tables = stage.tables.map(
      ({ table, builds }) =>
        `       ${table === '' ? '' : `${table}: `}${builds.map(buildText).join(', then ')}`,
    );
    return [`  ${number} ${buildStageText(stage)}`, ...tables];
  });
}

/** `apply 0005_user_activity.sql … 0007_message_words.sql (4 steps)` */
export function applyText({ files, steps }: Extract<Stage, { kind: 'apply' }>): string {
  const [first = '', last = first] = [files[0], files.at(-1)];
  const names = first === last ? first : `${first} … ${last}`;
  return `apply ${names} (${steps} step${steps === 1 ? '' : 's'})`;
}

/** `build the indexes of 6 tables, 4 side by side, about 12 min` */
export function buildStageText({ tables, sideBySide, estimatedSeconds }: BuildStage): string {
  const time = about(estimatedSeconds);
  const what = tables.every(({ builds }) => builds.every(isIndexBuild)) ? 'build the indexes' : 'do the work';
  if (tables.length === 1) return `${what} of 1 table, one after the other${time}`;
  return `${what} of ${tables.length} tables, ${Math.min(sideBySide, tables.length)} side by side${time}`;
}

export function buildText(build: PlannedBuild): string {
  const { operation, index, state, estimatedSeconds } = build;
  const notes = `${state === 'new' ? '' : `, ${state}`}${about(estimatedSeconds)}`;
  const whole = isIndexBuild(build) ? 'all its indexes' : operation.toUpperCase().replaceAll('-', ' ');
  const name = index === '' ? whole : index;
  return notes === '' ? name : `${name} (${notes.slice(2)})`;
}

/** The consequence of a finding that does not stop the run. */
export function consequence({ verdict }: PlanFinding): string {
  return verdict === 'fails-build' ? ' The build would fail.' : '';
}

export function findingText(finding: PlanFinding): string {
  const { file, line, column, what, rule, next } = finding;
  return `${file}:${line}:${column}: ${what}${consequence(finding)} [${rule}]\n  Next: ${next}`;
}

/** Remarks beside the steps. */
export function remarks({
  builds,
  late,
  reformatted,
  unknown,
  adopted,
  edited,
  exposure,
}: RunPlan): string[] {
  return [
    ...(exposure === undefined ? [] : [`${exposure.charAt(0).toUpperCase()}${exposure.slice(1)}.`]),
    ...builds.map(
      ({ index, table, state }) => `The build of ${index || 'all indexes'} on ${table} is ${state}.`,
    ),
    ...(adopted.length === 0
      ? []
      : [
          `${adopted.length} ${adopted.length === 1 ? 'migration' : 'migrations'} of another tool's history will be taken over as applied: ${adopted[0]}${adopted.length === 1 ? '' : ` to ${adopted.at(-1)}`}.`,
        ]),
    ...edited.map((file) => `${file} is another text now than was applied there.`),
    ...late.map((file) => `${file} is older than the newest applied migration.`),
    ...reformatted.map((file) => `${file} changed in comments or white space only.`),
    ...unknown.map((name) => `${name} is applied, and is not in this folder.`),
  ];
}

/** Findings have been shown already. */
function refusal({ refused, findings }: RunPlan, colors: Terminal['colors']): string[] {
  if (refused === undefined) return [];
  const shown = findings.some(({ verdict }) => verdict === 'refuse');
  return [
    '',
    colors.red('A run would stop before it touches anything:'),
    shown ? firstLine(refused) : refused,
  ];
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}
