import { type Command, InvalidArgumentError } from 'commander';
import { type Finding, type Levels, lintMigrations } from '../../compiler/lint/lint-migrations.ts';
import { countFindings, showFinding } from '../../compiler/lint/show-finding.ts';
import type { LayoutName } from '../../lambda/migration/layout.ts';
import type { Version } from '../../lambda/migration/version.ts';
import { directoryOf, layoutOption, placeholderOption, withDirectory, withJson } from './database-options.ts';
import { type ExitCode, exitCode } from './exit-code.ts';
import { exitCodeOf, showFailure } from './failure.ts';
import { levelOption } from './lint-level.ts';
import { Terminal } from './terminal.ts';

interface LintFlags {
  readonly dir?: string | undefined;
  readonly layout?: LayoutName;
  readonly placeholder?: Readonly<Record<string, string>>;
  readonly since?: Version;
  readonly level: Levels;
  readonly strict?: boolean;
  readonly json?: boolean;
}

export function addLint(program: Command): void {
  withJson(withDirectory(program.command('lint')))
    .description('say what in the migrations blocks others, loses data or breaks code that runs')
    .addOption(layoutOption())
    .addOption(placeholderOption())
    .option('--since <version>', 'take files up to this version as they are', version)
    .addOption(levelOption())
    .option('--strict', 'fail on warnings too')
    .addHelpText(
      'after',
      `
A file accepts what a rule finds with "-- migrate: allow RULE reason". docs/lint.md explains each rule.

Exit codes:
  0  nothing is found, or nothing worse than warnings (with --strict: than advice)
  1  an error is found (with --strict: or a warning), or a file can't be compiled
  2  the command itself is wrong

Examples:
  npx cdk-postgres-migrations lint --since 0042
  npx cdk-postgres-migrations lint --strict --level drop-column=error --level varchar-limit=off
  npx cdk-postgres-migrations lint --json | jq '.findings[].rule'`,
    )
    .action((flags: LintFlags) => {
      process.exitCode = lint(flags);
    });
}

function lint({ dir, layout, placeholder, since, level: levels, strict, json }: LintFlags): ExitCode {
  const terminal = new Terminal({ json: json === true });
  try {
    const findings = lintMigrations(directoryOf({ dir }), {
      levels,
      since,
      layout,
      placeholders: placeholder,
    });
    const code = verdict(findings, strict === true);
    if (terminal.json) terminal.document({ ok: code === exitCode.done, ...lintDocument(findings) });
    else show(terminal, findings);
    return code;
  } catch (error) {
    showFailure(terminal, error);
    return exitCodeOf(error);
  }
}

function verdict(findings: readonly Finding[], strict: boolean): ExitCode {
  const fails = findings.some(({ severity }) => severity === 'error' || (strict && severity === 'warning'));
  return fails ? exitCode.failed : exitCode.done;
}

function show(terminal: Terminal, findings: readonly Finding[]): void {
  for (const finding of findings) terminal.line(`${showFinding(finding, terminal.colors)}\n`);
  const files = new Set(findings.map(({ file }) => file)).size;
  const where = files === 0 ? '' : ` in ${files} ${files === 1 ? 'file' : 'files'}`;
  const text = countFindings(findings);
  terminal.line(`${text.charAt(0).toUpperCase()}${text.slice(1)}${where}.`);
}

function lintDocument(findings: readonly Finding[]): object {
  const count = (severity: Finding['severity']) =>
    findings.filter((each) => each.severity === severity).length;
  return {
    errors: count('error'),
    warnings: count('warning'),
    advice: count('advice'),
    findings: findings.map(({ excerpt, lock, afterwards, note, ...rest }) => ({
      ...rest,
      lock: lock ?? null,
      afterwards: afterwards ?? null,
      note: note ?? null,
    })),
  };
}

function version(text: string): Version {
  if (text.trim() === '') throw new InvalidArgumentError('It has to name a migration, such as 0042.');
  return text as Version;
}
