import type { LockWork } from '../../lambda/migration/lock-modes.ts';
import type { RunPlan, StepPlan, TablePlan } from '../../lambda/story/plan-run.ts';
import { duration } from './duration.ts';
import type { Terminal } from './terminal.ts';

/** A plan for a person at a terminal: what each step does, on which tables, whom it keeps waiting. */
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
  return [...lines, ...remarks(plan).map((remark) => colors.yellow(remark)), ...refusal(plan, colors)].join(
    '\n',
  );
}

const HOW: Readonly<Record<StepPlan['how'], string>> = {
  transaction: 'in one transaction',
  autocommit: 'by itself, in no transaction',
  inline: 'at once, in its plain form: the table is small or new',
  'hand-off': 'handed off: built concurrently by the loop',
};

export function howOf({ how, estimatedSeconds, statements }: StepPlan): string {
  const time = estimatedSeconds === undefined ? '' : `, about ${duration(estimatedSeconds)}`;
  const count = statements.length === 1 ? '' : ` (${statements.length} statements)`;
  return `${HOW[how]}${count}${time}`;
}

function tableLine(table: TablePlan, colors: Terminal['colors']): string {
  const { lock, blocks, work } = table;
  const name = `${table.table} (${sizeOf(table)})`;
  if (lock === undefined || blocks === undefined) return name;
  // Nobody else can be using a table that does not exist yet.
  const text = `${name}: ${lock} lock, blocks ${blocks}${whileOf(work)}`;
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

export function whileOf(work: LockWork | undefined): string {
  return work === undefined ? '' : WHILE[work];
}

/** `new`, `412 rows`, `over 10,000 rows, 1.2 GB` */
export function sizeOf({ isNew, rows, moreRows, bytes }: TablePlan): string {
  if (isNew) return 'new';
  if (rows === undefined) return 'size not looked at';
  const count = `${moreRows ? 'over ' : ''}${rows.toLocaleString('en')} row${rows === 1 ? '' : 's'}`;
  return bytes === undefined || bytes === 0 ? count : `${count}, ${size(bytes)}`;
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** As Postgres's pg_size_pretty counts: 1 kB is 1,024 bytes. */
function size(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const value = bytes / 1024 ** power;
  return `${value >= 10 || power === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[power]}`;
}

/** What a person should hear beside the steps. */
export function remarks({ builds, late, reformatted, unknown }: RunPlan): string[] {
  return [
    ...builds.map(
      ({ index, table, state }) => `The build of ${index || 'all indexes'} on ${table} is ${state}.`,
    ),
    ...late.map((file) => `${file} is older than the newest applied migration.`),
    ...reformatted.map((file) => `${file} changed in comments or white space only.`),
    ...unknown.map((name) => `${name} is applied, and is not in this folder.`),
  ];
}

function refusal({ refused }: RunPlan, colors: Terminal['colors']): string[] {
  return refused === undefined
    ? []
    : ['', colors.red('A run would stop before it touches anything:'), refused];
}
