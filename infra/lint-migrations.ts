import type { Version } from '../lambda/migration/version.ts';
import { compareVersions } from '../lambda/migration/version.ts';
import { type ParsedMigration, parseMigrations } from './compile-migrations.ts';
import { AllowedRules } from './lint/allowed-rules.ts';
import type { Finding } from './lint/finding.ts';
import { findingOf } from './lint/finding-of-report.ts';
import { checkLevels, type Levels } from './lint/levels.ts';
import { LintedFile } from './lint/linted-file.ts';
import { rules } from './lint/rules.ts';
import { StatementContext } from './lint/statement-context.ts';
import { learn } from './schema/learn.ts';
import { Schema } from './schema/schema.ts';

export type { Finding, FindingLock } from './lint/finding.ts';
export type { Level, Levels } from './lint/levels.ts';
export type { Severity } from './lint/rule.ts';

export interface LintOptions {
  /** Levels other than the rules' own. */
  readonly levels?: Levels;
  /** Files up to this version are applied, or taken as they are: they are read and not judged. */
  readonly since?: Version | undefined;
}

/**
 * Reads a folder of migrations with all rules.
 *
 * @throws CompileError where a file can't be compiled
 * @throws UnknownRule where a level names no rule
 */
export function lintMigrations(directory: string, options: LintOptions = {}): readonly Finding[] {
  return lintParsed(parseMigrations(directory), options);
}

/** As lintMigrations, of a folder that is parsed already. In the order of files and places. */
export function lintParsed(
  migrations: readonly ParsedMigration[],
  { levels = {}, since }: LintOptions = {},
): readonly Finding[] {
  checkLevels(levels);
  const files = migrations.map((migration) => new LintedFile(migration));
  const final = schemaAfter(files);
  const schema = new Schema();
  return files.flatMap((file) => {
    if (since !== undefined && compareVersions(file.migration.version, since) <= 0) {
      learnFile(schema, file);
      return [];
    }
    return lintFile(file, { schema, final, levels });
  });
}

interface Folder {
  readonly schema: Schema;
  readonly final: Schema;
  readonly levels: Levels;
}

/** Leads the schema through the file on the way. */
function lintFile(file: LintedFile, { schema, final, levels }: Folder): readonly Finding[] {
  const allowed = new AllowedRules(file, levels);
  const findings: Finding[] = [];
  let before: StatementContext[] = [];
  for (const [number, statement] of file.statements.entries()) {
    if (number > 0 && file.stepOf(number) !== file.stepOf(number - 1)) before = [];
    const context = new StatementContext({ file, number, schema, final, before: [...before] });
    for (const rule of rules) {
      const level = levels[rule.name] ?? rule.severity;
      if (level === 'off') continue;
      for (const report of rule.check(context)) {
        if (!allowed.allows(rule.name)) findings.push(findingOf(report, { context, rule, severity: level }));
      }
    }
    before.push(context);
    learn(schema, statement.tree, { file: file.source.file, statement: number });
  }
  const all = [...findings, ...allowed.findings()];
  return all.sort((a, b) => a.position.line - b.position.line || a.position.column - b.position.column);
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
