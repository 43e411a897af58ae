import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { CompileOptions, ParsedMigration } from '../../compiler/steps/compile-migrations.ts';
import {
  CompileError,
  compileMigrationsSync,
  parseMigrations,
} from '../../compiler/steps/compile-migrations.ts';
import type { CompiledMigrations, Migration, Statement, Step } from '../../lambda/migration/migration.ts';
import { statementsOf } from '../../lambda/migration/migration.ts';

type Files = Readonly<Record<string, string | Uint8Array>>;

/** A folder with these files, gone with the test. */
export function folderOf(files: Files): string {
  const directory = mkdtempSync(join(tmpdir(), 'migrations-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(join(directory, dirname(file)), { recursive: true });
    writeFileSync(join(directory, file), content);
  }
  return directory;
}

export function compileFiles(files: Files, options: CompileOptions = {}): CompiledMigrations {
  return compileMigrationsSync(folderOf(files), options);
}

/** The one migration of a folder with one file. */
export function compileText(sql: string | Uint8Array): Migration {
  return parseText(sql).migration;
}

export function parseText(sql: string | Uint8Array): ParsedMigration {
  const [migration] = parseMigrations(folderOf({ '1_test.sql': sql }));
  if (migration === undefined) throw new Error('No migration.');
  return migration;
}

/** The one statement of a text. */
export function compileStatement(sql: string): { readonly step: Step; readonly statement: Statement } {
  const [step] = compileText(sql).steps;
  const [statement] = step === undefined ? [] : statementsOf(step);
  if (step === undefined || statement === undefined) throw new Error(`No statement: ${sql}`);
  return { step, statement };
}

/** The message with which these files are refused. */
export function refusalOf(files: Files, options: CompileOptions = {}): string {
  return refusalOfFolder(folderOf(files), options);
}

export function refusalOfFolder(directory: string, options: CompileOptions = {}): string {
  try {
    compileMigrationsSync(directory, options);
  } catch (error) {
    if (error instanceof CompileError) return error.message;
    throw error;
  }
  throw new Error('It compiled.');
}

/** `kind: statement | statement` for each step: what steps a text is divided into, at a glance. */
export function outline(migration: Migration): readonly string[] {
  return migration.steps.map((step) => {
    const options =
      step.kind === 'transaction' ? Object.values(step.transaction).map((value) => ` ${value}`) : [];
    return `${step.kind}${options.join('')}: ${statementsOf(step)
      .map(({ text }) => text)
      .join(' | ')}`;
  });
}
