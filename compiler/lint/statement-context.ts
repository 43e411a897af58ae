import { type RelationLock, strongerMode } from '../../lambda/migration/lock-modes.ts';
import type { RelationName } from '../../lambda/migration/relation-name.ts';
import { statementLocks } from '../locks/statement-locks.ts';
import type { Schema } from '../schema/schema.ts';
import type { Index } from '../schema/table.ts';
import type { ParsedStatement } from '../syntax/parse-file.ts';
import type { Node } from '../syntax/syntax-tree.ts';
import { codeTokensOf, type Token } from '../syntax/tokens.ts';
import { type Alteration, alterationOf } from './alteration.ts';
import type { LintedFile } from './linted-file.ts';
import { writtenRelation } from './written-name.ts';

/** All that a rule knows about one statement. */
export class StatementContext {
  readonly file: LintedFile;
  /** Its place among the file's statements. */
  readonly number: number;
  /** As the statements before it leave it. */
  readonly schema: Schema;
  /** As the whole folder leaves it. */
  readonly final: Schema;
  /** Statements of the same transaction before it. */
  readonly before: readonly StatementContext[];
  readonly locks: readonly RelationLock[];
  #alteration: { readonly of: Alteration | undefined } | undefined;
  #tokens: readonly Token[] | undefined;

  constructor(place: Pick<StatementContext, 'file' | 'number' | 'schema' | 'final' | 'before'>) {
    this.file = place.file;
    this.number = place.number;
    this.schema = place.schema;
    this.final = place.final;
    this.before = place.before;
    // The schema changes with each statement, so the answer is kept now.
    this.locks = statementLocks(this.tree, place.schema).filter(({ relation }) => this.isExisting(relation));
  }

  get statement(): ParsedStatement {
    return this.file.statements[this.number] as ParsedStatement;
  }

  get tree(): Node {
    return this.statement.tree;
  }

  get text(): string {
    return this.statement.text;
  }

  get tokens(): readonly Token[] {
    this.#tokens ??= codeTokensOf(this.text);
    return this.#tokens;
  }

  /** Of ALTER TABLE and its like. */
  get alteration(): Alteration | undefined {
    if (this.#alteration === undefined) this.#alteration = { of: alterationOf(this) };
    return this.#alteration.of;
  }

  /** Statements of the same transaction after it. */
  get after(): readonly ParsedStatement[] {
    const step = this.file.stepOf(this.number);
    return this.file.statements.filter(
      (_, at) => at > this.number && step !== undefined && this.file.stepOf(at) === step,
    );
  }

  /** Converts the parser's location, in bytes of the file, to an index in the statement's text. */
  offsetOf(byte: number): number {
    return this.file.source.indexOfByte(byte) - this.statement.index;
  }

  /** Whether it may hold rows already: it is neither temporary nor created by this file. */
  isExisting(name: RelationName): boolean {
    const relation = this.schema.relation(name);
    if (relation !== undefined) return !relation.temporary && relation.origin?.file !== this.file.source.file;
    const index = this.schema.index(name);
    return index === undefined || this.isExisting(index.table.name);
  }

  isNewIndex({ origin, table }: Index): boolean {
    return origin?.file === this.file.source.file || !this.isExisting(table.name);
  }

  /** The strongest lock on an existing relation. */
  get strongestLock(): RelationLock | undefined {
    let strongest: RelationLock | undefined;
    for (const lock of this.locks) {
      if (strongest === undefined || strongerMode(strongest.mode, lock.mode) !== strongest.mode)
        strongest = lock;
    }
    return strongest;
  }

  /** What ends the transaction here and begins the next, in the file's own style. */
  get nextTransaction(): string {
    if (this.file.isExplicit(this.number)) return 'commit;\nbegin;\n';
    return this.file.stepKind(this.number) === 'transaction' ? 'commit;\n' : '';
  }

  /** The same before a statement that is a step of its own unless it is inside a BEGIN. */
  get nextStep(): string {
    return this.file.isExplicit(this.number) ? 'commit;\nbegin;\n' : '';
  }

  /** Statements that can't run in a transaction: the file's own transaction is closed before them. */
  alone(sql: string): string {
    return this.file.isExplicit(this.number) ? `commit;\n${sql}\nbegin;` : sql;
  }

  /** The statement as it is, allowed for a reason that its author can defend. */
  allowing(rules: string | readonly string[], reason: string, text = this.text): string {
    const lines = [rules].flat().map((rule) => `-- migrate: allow ${rule} ${reason}\n`);
    return `${lines.join('')}${text};`;
  }

  show(name: RelationName): string {
    return writtenRelation(name);
  }
}
