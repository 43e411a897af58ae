import type { Migration, Statement } from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import { type RowValues, type Text, textOf } from '../migration/row-values.ts';

/** What the linter finds at deploy, in the real database. */
export interface DeployFinding {
  /** As in `-- migrate: allow RULE reason`. */
  readonly rule: string;
  /**
   * `refuse`: the run stops before it touches anything. `fails-build`: the run continues, and a build that it hands off
   * will fail. `show`: it stops nothing.
   */
  readonly verdict: 'refuse' | 'fails-build' | 'show';
  readonly migration: Migration;
  readonly statement: Statement;
  /** One or two sentences, with facts from the database. */
  readonly what: Text;
  readonly next: string;
}

/** A plain CREATE INDEX on a table that is not small has its own code: it is refused without the linter, too. */
export const PLAIN_INDEX_RULE = 'plain-create-index';

/** The run stopped before it touched anything. */
export class DeployRefused extends MigrationError {
  override readonly name = 'DeployRefused';
  constructor(findings: readonly [DeployFinding, ...DeployFinding[]], applied = 'nothing by this run.') {
    const [first, ...others] = findings;
    super({
      ...(first.rule === PLAIN_INDEX_RULE ? { code: 'plain-create-index' } : { code: 'lint-refused' }),
      what: first.what,
      place: placeOf(first),
      applied,
      next:
        others.length === 0
          ? first.next
          : (rows) =>
              [first.next, 'Also found:', ...others.map((each) => showFinding(each, rows))].join('\n'),
    });
  }
}

/**
 * @param applied what the run has applied so far, for a person
 * @throws DeployRefused with every finding that refuses the run
 */
export function refuse(findings: readonly DeployFinding[], applied?: string): void {
  const [first, ...others] = findings.filter(({ verdict }) => verdict === 'refuse');
  if (first !== undefined) throw new DeployRefused([first, ...others], applied);
}

/** `0003_orders.sql:4:1: 12 rows … Next: …` */
export function showFinding(finding: DeployFinding, rows: RowValues): string {
  return describeFinding(finding, rows).replace('\n', ' ');
}

/** The same as an error: what was found, then what to do. */
export function describeFinding(finding: DeployFinding, rows: RowValues): string {
  const { file, position } = placeOf(finding);
  return `${file}:${position.line}:${position.column}: ${textOf(finding.what, rows)}\nNext: ${finding.next}`;
}

function placeOf({ migration, statement }: DeployFinding) {
  return { file: migration.file, position: statement.position, statement: statement.text };
}
