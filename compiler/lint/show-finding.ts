import type { Finding, FindingLock } from './finding.ts';
import type { Severity } from './rule.ts';

type Paint = (text: string) => string;

/** Colours for the parts of a finding. */
export interface FindingStyle {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly red: Paint;
  readonly yellow: Paint;
  readonly cyan: Paint;
}

const same: Paint = (text) => text;
export const plainStyle: FindingStyle = { bold: same, dim: same, red: same, yellow: same, cyan: same };

/** One finding as a good compiler shows it: place, source line and caret, reason, and what to write instead. */
export function showFinding(finding: Finding, style: FindingStyle = plainStyle): string {
  const { rule, severity, what, excerpt, lock, note } = finding;
  const colour = { error: style.red, warning: style.yellow, advice: style.cyan }[severity];
  return [
    `${style.bold(placeOf(finding))} ${style.bold(colour(severity))} ${what} ${style.dim(`[${rule}]`)}`,
    excerpt,
    ...(lock === undefined ? [] : [`  ${style.bold('locks')}    ${lockText(lock)}`]),
    ...sqlLines('instead', finding.instead, style),
    ...sqlLines('in a later migration', finding.afterwards, style),
    ...(note === undefined ? [] : [`  ${style.bold('note')}     ${note}`]),
  ].join('\n');
}

export function placeOf({ file, position }: Finding): string {
  return `${file}:${position.line}:${position.column}:`;
}

/** `orders ACCESS EXCLUSIVE, which blocks reads and writes, for as long as …` */
export function lockText({ relation, mode, blocks, duration }: FindingLock): string {
  return `${relation}: ${mode.toUpperCase()}, which blocks ${blocks}, ${duration}`;
}

function sqlLines(label: string, sql: string | undefined, { bold }: FindingStyle): readonly string[] {
  if (sql === undefined || sql === '') return [];
  return [`  ${bold(label)}`, ...sql.split('\n').map((line) => `      ${line}`.trimEnd())];
}

/** `1 error, 3 warnings, 2 pieces of advice`; zero counts are left out. */
export function countFindings(findings: readonly Finding[]): string {
  const count = (severity: Severity, one: string, many: string): readonly string[] => {
    const { length } = findings.filter((finding) => finding.severity === severity);
    return length === 0 ? [] : [`${length} ${length === 1 ? one : many}`];
  };
  const counts = [
    ...count('error', 'error', 'errors'),
    ...count('warning', 'warning', 'warnings'),
    ...count('advice', 'piece of advice', 'pieces of advice'),
  ];
  return counts.length === 0 ? 'no findings' : counts.join(', ');
}
