import type { DeployCheck } from '../../lambda/migration/deploy-check.ts';
import { FolderOrder, identityOf } from '../../lambda/migration/identity.ts';
import { emptyLedger } from '../../lambda/migration/ledger.ts';
import type { CompiledMigrations } from '../../lambda/migration/migration.ts';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import type { Version } from '../../lambda/migration/version.ts';
import { learn } from '../schema/learn.ts';
import { Schema } from '../schema/schema.ts';
import {
  type CompileOptions,
  compiledFrom,
  type ParsedMigration,
  parseMigrations,
} from '../steps/compile-migrations.ts';
import { lazyMigrations } from '../steps/lazy-migrations.ts';
import { mapStatements } from '../steps/map-statements.ts';
import { AllowedRules } from './allowed-rules.ts';
import { DataQuestions } from './data-questions.ts';
import { type AskedSize, checksOf } from './deploy-checks.ts';
import type { Finding } from './finding.ts';
import { findingOf } from './finding-of-report.ts';
import { checkLevels, type Levels } from './levels.ts';
import { LintedFile } from './linted-file.ts';
import type { Report, Rule } from './rule.ts';
import { rules } from './rules.ts';
import { sizeQuestions } from './size-question.ts';
import { StatementContext } from './statement-context.ts';

export type { Finding, FindingLock } from './finding.ts';
export type { Level, Levels } from './levels.ts';
export type { Severity } from './rule.ts';

export interface LintOptions {
  /** Levels other than the rules' own. */
  readonly levels?: Levels;
  /** Files up to this version are applied, or accepted as they are: they are read but not judged. */
  readonly since?: Version | undefined;
  /** So are these, which the ledger of a database has. */
  readonly recorded?: ReadonlySet<Version> | undefined;
}

/** A folder after all rules have run. */
export interface Linted {
  /** In the order of files and places. */
  readonly findings: readonly Finding[];
  /** What `lint --fix` may write, at most one for each statement. */
  readonly fixes: readonly Fix[];
  /** With what only the deploy can tell attached to each statement. */
  readonly migrations: readonly ParsedMigration[];
}

/** SQL of a rule that can replace a statement. */
export interface Fix {
  readonly rule: string;
  readonly file: string;
  readonly position: Finding['position'];
  /** Of the statement in the file's text. */
  readonly index: number;
  /** The statement without its semicolon. */
  readonly text: string;
  /** With semicolons. */
  readonly instead: string;
}

/** Of a folder that is not read yet. */
export type FolderLintOptions = LintOptions & CompileOptions;

/**
 * Reads a folder of migrations with all rules.
 *
 * @throws CompileError where a file can't be compiled
 * @throws UnknownRule where a level names no rule
 */
export function lintMigrations(
  directory: string,
  { layout, placeholders, ...options }: FolderLintOptions = {},
): readonly Finding[] {
  return lintParsed(parseMigrations(directory, { layout, placeholders }), options).findings;
}

/** The parts of the folder that `lint --fix` can rewrite. Throws as lintMigrations does. */
export function fixesOf(
  directory: string,
  { layout, placeholders, ...options }: FolderLintOptions = {},
): readonly Fix[] {
  return lintParsed(parseMigrations(directory, { layout, placeholders }), options).fixes;
}

/** A compiled folder with the checks that the linter leaves to the deploy. Throws as lintMigrations does. */
export function compileLinted(
  directory: string,
  { layout, placeholders, ...options }: FolderLintOptions = {},
): CompiledMigrations {
  return compiledFrom(lintParsed(parseMigrations(directory, { layout, placeholders }), options).migrations);
}

/** As compileLinted, for a folder that is compiled when needed. */
export function lazilyLinted(directory: string, options: FolderLintOptions = {}): CompiledMigrations {
  checkLevels(options.levels ?? {});
  return lazyMigrations(directory, { ...options, compile: () => compileLinted(directory, options) });
}

/** Like lintMigrations, for a folder that is already parsed. */
export function lintParsed(
  migrations: readonly ParsedMigration[],
  { levels = {}, since, recorded }: LintOptions = {},
): Linted {
  checkLevels(levels);
  const files = migrations.map((migration) => new LintedFile(migration));
  const folder: Folder = {
    schema: new Schema(),
    final: schemaAfter(files),
    levels,
    questions: new DataQuestions(),
  };
  const findings: Finding[] = [];
  const fixes: Fix[] = [];
  const isUpTo = since === undefined ? () => false : upTo(migrations, since);
  const checked = migrations.map((parsed, number) => {
    const file = files[number] as LintedFile;
    if (isUpTo(parsed) || recorded?.has(parsed.migration.version)) {
      learnFile(folder.schema, file);
      return parsed;
    }
    const linted = lintFile(file, folder);
    findings.push(...linted.findings);
    fixes.push(...linted.fixes);
    return linted.checks.size === 0 ? parsed : withChecks(parsed, linted.checks);
  });
  return { findings, fixes, migrations: checked };
}

/** By their places in the folder, where it has that migration. */
function upTo(migrations: readonly ParsedMigration[], since: Version): (parsed: ParsedMigration) => boolean {
  const folder = migrations.map(({ migration }) => migration);
  const last = identityOf(since, folder, emptyLedger);
  const order = migrations[0]?.layout.order ?? 'number';
  const places = new FolderOrder(folder, order);
  const isThere = folder.some(({ version }) => version === last);
  if (!isThere && !(order === 'number' && /^\d+$/.test(last))) {
    throw new MigrationError({
      code: 'usage',
      what: `No migration of this folder is called ${since}.`,
      next: `name the newest one that the linter should take as it is${folder.length === 0 ? '' : `, such as ${folder.at(-1)?.version}`}.`,
    });
  }
  return ({ migration }) => (places.compare(migration.version, last) ?? 1) <= 0;
}

interface Folder {
  readonly schema: Schema;
  readonly final: Schema;
  readonly levels: Levels;
  readonly questions: DataQuestions;
}

interface LintedStatements {
  readonly findings: readonly Finding[];
  readonly fixes: readonly Fix[];
  /** By the place of the statement. */
  readonly checks: ReadonlyMap<string, readonly DeployCheck[]>;
}

/** Applies the file to the schema on the way. */
function lintFile(file: LintedFile, { schema, final, levels, questions }: Folder): LintedStatements {
  const allowed = new AllowedRules(file, levels);
  const findings: Finding[] = [];
  const checks = new Map<string, readonly DeployCheck[]>();
  const fixes: Fix[] = [];
  let before: StatementContext[] = [];
  for (const [number, statement] of file.statements.entries()) {
    if (number > 0 && file.stepOf(number) !== file.stepOf(number - 1)) before = [];
    const context = new StatementContext({ file, number, schema, final, before: [...before] });
    const sizes: AskedSize[] = [];
    for (const rule of rules) {
      const level = levels[rule.name] ?? rule.severity;
      if (level === 'off') continue;
      for (const report of rule.check(context)) {
        if (allowed.allows(rule.name)) continue;
        findings.push(findingOf(report, { context, rule, severity: level }));
        if (mayFix(rule, report, context) && fixes.at(-1)?.index !== statement.index)
          fixes.push({ rule: rule.name, file: file.source.file, instead: report.instead, ...statement });
        for (const question of sizeQuestions(report, { context, rule }))
          sizes.push({ ...question, rule: rule.name, level });
      }
    }
    const left = checksOf({ sizes, data: questions.of(context) }, { levels, allowed });
    if (left.length > 0) checks.set(keyOf(statement.position), left);
    before.push(context);
    learn(schema, statement.tree, { file: file.source.file, statement: number });
  }
  const all = [...findings, ...allowed.findings()];
  return {
    fixes,
    findings: all.sort((a, b) => a.position.line - b.position.line || a.position.column - b.position.column),
    checks,
  };
}

/** Statements between the author's own BEGIN and COMMIT are left alone; and allowing a finding is no fix. */
function mayFix(rule: Rule, { instead }: Report, { file, number }: StatementContext): boolean {
  return rule.fixes === true && !file.isExplicit(number) && !instead.includes('-- migrate: allow');
}

function withChecks(parsed: ParsedMigration, checks: LintedStatements['checks']): ParsedMigration {
  const { migration } = parsed;
  const steps = mapStatements(migration.steps, (statement) => {
    const own = checks.get(keyOf(statement.position));
    return own === undefined ? statement : { ...statement, checks: own };
  });
  return { ...parsed, migration: { ...migration, steps } };
}

function keyOf({ line, column }: Finding['position']): string {
  return `${line}:${column}`;
}

function learnFile(schema: Schema, file: LintedFile): void {
  for (const [number, { tree }] of file.statements.entries()) {
    learn(schema, tree, { file: file.source.file, statement: number });
  }
}

function schemaAfter(files: readonly LintedFile[]): Schema {
  const schema = new Schema();
  for (const file of files) learnFile(schema, file);
  return schema;
}
