import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import {
  type Finding,
  type Fix,
  type FolderLintOptions,
  fixesOf,
  type Levels,
  lintMigrations,
} from '../../compiler/lint/lint-migrations.ts';
import { countFindings, showFinding } from '../../compiler/lint/show-finding.ts';
import type { LayoutName } from '../../lambda/migration/layout.ts';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
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
  readonly fix?: boolean;
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
    .option('--fix', 'write what rules say instead into files after --since, where it does the same')
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
  npx cdk-postgres-migrations lint --fix --since 0042
  npx cdk-postgres-migrations lint --strict --level drop-column=error --level varchar-limit=off
  npx cdk-postgres-migrations lint --json | jq '.findings[].rule'`,
    )
    .action((flags: LintFlags) => {
      process.exitCode = lint(flags);
    });
}

function lint({ dir, layout, placeholder, since, level: levels, strict, fix, json }: LintFlags): ExitCode {
  const terminal = new Terminal({ json: json === true });
  try {
    const directory = directoryOf({ dir });
    const options = { levels, since, layout, placeholders: placeholder };
    const fixes = fix === true ? writeFixes(directory, options) : [];
    if (!terminal.json) for (const each of fixes) terminal.line(`${showFix(each)}\n`);
    const findings = lintMigrations(directory, options);
    const code = verdict(findings, strict === true);
    if (terminal.json) {
      const fixed = fixes.map(({ rule, file, position, instead }) => ({ rule, file, position, instead }));
      terminal.document({
        ok: code === exitCode.done,
        ...(fix === true && { fixed }),
        ...lintDocument(findings),
      });
    } else show(terminal, findings);
    return code;
  } catch (error) {
    showFailure(terminal, error);
    return exitCodeOf(error);
  }
}

/** The SQL of one rule may cause a finding of another. */
const MOST_PASSES = 5;

/** Fixes until nothing is left to fix. Never changes a file that may be applied, according to `since`. */
function writeFixes(directory: string, options: FolderLintOptions): readonly Fix[] {
  if (options.since === undefined) {
    throw new MigrationError({
      code: 'usage',
      what: '--fix writes into files, and has to know which of them are applied: their text must stay as it is.',
      next: 'name the newest applied migration, as status shows it: --fix --since 0042 (or --since 0, where none is applied).',
    });
  }
  const written: Fix[] = [];
  for (let pass = 1; pass <= MOST_PASSES; pass += 1) {
    const fixes = fixesOf(directory, options).filter((fix) => writeFix(directory, fix));
    if (fixes.length === 0) break;
    written.push(...fixes);
  }
  return written;
}

/** False where the file's text is not what was read: encoded otherwise, or filled with placeholders. */
function writeFix(directory: string, { file, index, text, instead }: Fix): boolean {
  const path = join(directory, file);
  const content = readFileSync(path, 'utf8');
  // An earlier fix in this pass may have moved it.
  const at = content.startsWith(text, index) ? index : content.indexOf(text);
  if (at === -1 || content.indexOf(text, at + 1) !== -1) return false;
  const after = content.slice(at + text.length).replace(/^\s*;/, '');
  writeFileSync(path, content.slice(0, at) + instead + after);
  return true;
}

/** As a diff shows it. */
function showFix({ rule, file, position, text, instead }: Fix): string {
  const lines = (sign: string, sql: string) => sql.split('\n').map((line) => `${sign} ${line}`);
  return [
    `${file}:${position.line}:${position.column}: written as ${rule} says`,
    ...lines('-', `${text};`),
    ...lines('+', instead),
  ].join('\n');
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
