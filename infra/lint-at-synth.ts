import { Annotations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';
import { type Finding, type Levels, lintParsed } from '../compiler/lint/lint-migrations.ts';
import { countFindings, showFinding } from '../compiler/lint/show-finding.ts';
import type { ParsedMigration } from '../compiler/steps/compile-migrations.ts';
import { MigrationError } from '../lambda/migration/migration-error.ts';
import type { Version } from '../lambda/migration/version.ts';

/** How the linter checks the migrations at synth. */
export interface LintProps {
  /**
   * Levels of rules: `error` fails synth, `warning` is shown, `advice` is shown by the command line alone, `off` is
   * not looked for. `{ 'drop-column': 'error', 'truncate': 'off' }`.
   *
   * @default - those that docs/lint.md gives for each rule
   */
  readonly levels?: Levels;

  /**
   * Files up to this version are taken as they are: for a folder that was applied before the linter came.
   *
   * @default - every file is judged; in a folder that is laid out as another tool has it, none is, since its history is
   * old: what of it is pending is judged at deploy
   */
  readonly since?: string;

  /**
   * Every file is judged, those of another tool's folder too.
   *
   * @default false
   */
  readonly all?: boolean;
}

/** Rules of level `error` found something. Its message shows each place with its source line and a caret. */
export class LintFailed extends MigrationError {
  override readonly name = 'LintFailed';
  readonly findings: readonly Finding[];

  constructor(findings: readonly Finding[]) {
    super({
      code: 'lint-failed',
      what: `${findings.map((finding) => showFinding(finding)).join('\n\n')}\n\n${countFindings(findings)}.`,
      next: 'write what is shown instead; or, where it is meant so, put "-- migrate: allow RULE reason" into the file. The database was not touched.',
    });
    this.findings = findings;
  }
}

/**
 * Errors fail synth, warnings become annotations of the construct, which `cdk` prints and
 * `Annotations.of(…).acknowledgeWarning('postgres-migrations:lint:RULE')` silences.
 *
 * Returns the migrations with what is left to the deploy, which knows sizes and data.
 *
 * @throws LintFailed, UnknownRule, MigrationError for a version that can't be
 */
export function lintAtSynth(
  scope: IConstruct,
  migrations: readonly ParsedMigration[],
  { levels = {}, since, all = false }: LintProps = {},
): readonly ParsedMigration[] {
  const { findings, migrations: checked } = lintParsed(migrations, {
    levels,
    since: since === undefined ? undefined : sinceOf(since),
  });
  // Old files have long been applied, and synth can't tell which ones are new: the deploy knows what is pending.
  const { name = 'plain', title } = migrations[0]?.layout ?? {};
  if (name !== 'plain' && since === undefined && !all) {
    Annotations.of(scope).addInfo(
      `The migrations are laid out as ${title} has it, and are linted at deploy alone, those that are pending. To have new ones linted here too, name the newest that is applied: lint: { since: '${migrations.at(-1)?.migration.version}' }; or say lint: { all: true }.`,
    );
    return checked;
  }
  const errors = findings.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw new LintFailed(errors);
  for (const finding of findings) {
    if (finding.severity !== 'warning') continue;
    Annotations.of(scope).addWarningV2(`postgres-migrations:lint:${finding.rule}`, showFinding(finding));
  }
  return checked;
}

function sinceOf(text: string): Version {
  if (text.trim() !== '') return text as Version;
  throw new MigrationError({
    code: 'invalid-prop',
    what: 'lint.since is empty, but must name a migration, such as 0042',
    next: 'give the newest migration that the linter should take as it is, as its folder names it.',
  });
}
