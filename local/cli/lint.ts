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
import { adopt, withAdopted } from '../../lambda/history/adopt.ts';
import { readLedgerAndHistory } from '../../lambda/history/read-history.ts';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import type { Version } from '../../lambda/migration/version.ts';
import { withSession } from '../../lambda/postgres/session/connect.ts';
import {
  type DatabaseFlags,
  directoryOf,
  readInvocation,
  withDatabaseFlags,
  withJson,
} from './database-options.ts';
import { type ExitCode, exitCode } from './exit-code.ts';
import { answered } from './failure.ts';
import { levelOption } from './lint-level.ts';
import { Terminal } from './terminal.ts';

interface LintFlags extends DatabaseFlags {
  readonly since?: Version;
  readonly level: Levels;
  readonly strict?: boolean;
  readonly fix?: boolean;
}

export function addLint(program: Command): void {
  withJson(withDatabaseFlags(program.command('lint')))
    .description('say what in the migrations blocks others, loses data or breaks code that runs')
    .option('--since <version>', 'take files up to this version as they are', version)
    .addOption(levelOption())
    .option('--strict', 'fail on warnings too')
    .option('--fix', 'write what rules say instead into files that are not applied, where it does the same')
    .addHelpText(
      'after',
      `
A file accepts what a rule finds with "-- migrate: allow RULE reason". docs/lint.md explains each rule.
What is applied is taken as it is: up to --since, or as the ledger of --database-url says. With --fix it has to be one of
them, or DATABASE_URL.

Exit codes:
  0  nothing is found, or nothing worse than warnings (with --strict: than advice)
  1  an error is found (with --strict: or a warning), or a file can't be compiled
  2  the command itself is wrong

Examples:
  npx cdk-postgres-migrations lint --since 0042
  npx cdk-postgres-migrations lint --fix --database-url "$PRODUCTION_URL"
  npx cdk-postgres-migrations lint --strict --level drop-column=error --level varchar-limit=off
  npx cdk-postgres-migrations lint --json | jq '.findings[].rule'`,
    )
    .action(async (flags: LintFlags) => {
      process.exitCode = await lint(flags);
    });
}

async function lint(flags: LintFlags): Promise<ExitCode> {
  const { layout, placeholder, since, level: levels, strict, fix, json } = flags;
  const terminal = new Terminal({ json: json === true });
  return answered(terminal, async () => {
    const directory = directoryOf(flags);
    const asksLedger = flags.databaseUrl !== undefined || (fix === true && since === undefined);
    const recorded = asksLedger ? await recordedIn(flags) : undefined;
    const options = { levels, since, recorded, layout, placeholders: placeholder };
    const fixes = fix === true ? writeFixes(directory, options) : [];
    if (recorded !== undefined) {
      const are = recorded.size === 1 ? 'migration is' : 'migrations are';
      terminal.errorLine(`${recorded.size} ${are} in the ledger of the database, and left as they stand.`);
    }
    if (!terminal.json) for (const each of fixes) terminal.line(`${showFix(each)}\n`);
    const findings = lintMigrations(directory, options);
    const code = verdict(findings, strict === true);
    if (terminal.json) {
      const fixed = fixes.map(({ rule, file, position, instead }) => ({ rule, file, position, instead }));
      terminal.document({
        ok: code === exitCode.done,
        ...(fix === true && { fixed }),
        ...(recorded !== undefined && { recorded: [...recorded] }),
        ...lintDocument(findings),
      });
    } else show(terminal, findings);
    return code;
  });
}

/** The migrations of which a step is applied, under way or failed, or that another tool has applied. */
async function recordedIn(flags: LintFlags): Promise<ReadonlySet<Version>> {
  if ((flags.databaseUrl ?? process.env.DATABASE_URL ?? '') === '') {
    throw new MigrationError({
      code: 'usage',
      what: '--fix writes into files, and has to know which of them are applied: their text must stay as it is.',
      next: 'give --database-url (or DATABASE_URL), whose ledger tells; or name the newest applied migration: --fix --since 0042 (or --since 0, where none is applied).',
    });
  }
  const { target, options, migrations } = await readInvocation(flags);
  const { history, ...read } = await withSession(
    target,
    (session) => readLedgerAndHistory(session, { migrations, options }),
    { patienceSeconds: PATIENCE_SECONDS },
  );
  const { steps } = withAdopted(read.ledger, adopt(history, migrations, read));
  return new Set(steps.map(({ version }) => version));
}

/** Whoever lints looks on: a server that does not answer is not waited for as by a deploy. */
const PATIENCE_SECONDS = 10;
/** The SQL of one rule may cause a finding of another. */
const MOST_PASSES = 5;

/** Fixes until nothing is left to fix. Never changes a file that may be applied, by `since` or `recorded`. */
function writeFixes(directory: string, options: FolderLintOptions): readonly Fix[] {
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
