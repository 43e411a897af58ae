import type { Constraint } from 'libpg-query';
import type { DataCheck } from '../../lambda/migration/deploy-check.ts';
import { type RelationName, relationKey } from '../../lambda/migration/relation-name.ts';
import { provesNotNull } from '../locks/alter-table-locks.ts';
import { constrainedColumns, constraintKind, nameOfConstraint } from '../schema/constraint.ts';
import { as, relationOf, strings } from '../syntax/syntax-tree.ts';
import { closingBracket, codeTokensOf, isWord } from '../syntax/tokens.ts';
import type { Command } from './alteration.ts';
import type { StatementContext } from './statement-context.ts';
import { uniqueKeyOf } from './unique-key.ts';
import { written } from './written-name.ts';

type WithoutVerdict<Check> = Check extends unknown ? Omit<Check, 'rule' | 'verdict'> : never;
/** A data check before the levels decide what comes of it. */
export type DataQuestion = WithoutVerdict<DataCheck>;

/** What only the data can tell about each statement. Statements must be passed in the order of the folder. */
export class DataQuestions {
  /** Constraints that are NOT VALID: they fail only when they are validated. */
  readonly #unvalidated = new Map<string, readonly DataQuestion[]>();

  of(context: StatementContext): readonly DataQuestion[] {
    return [...this.#ofAlteration(context), ...ofUniqueIndex(context)];
  }

  #ofAlteration(context: StatementContext): readonly DataQuestion[] {
    const { alteration } = context;
    if (alteration === undefined || !context.isExisting(alteration.table)) return [];
    const { table, commands } = alteration;
    // What the same statement computes anew is not what is there now.
    if (commands.some(({ tree }) => REPLACING.has(tree.subtype ?? ''))) return [];
    const only = as('AlterTableStmt', context.tree)?.relation?.inh !== true;
    const questions = commands.flatMap((command) => {
      const { subtype, name = '', def } = command.tree;
      if (subtype === 'AT_SetNotNull') return ofNotNull(context, table, name);
      if (subtype === 'AT_ValidateConstraint') return this.#unvalidated.get(keyOf(table, name)) ?? [];
      const constraint = subtype === 'AT_AddConstraint' ? as('Constraint', def) : undefined;
      if (constraint === undefined || constraint.is_enforced === false) return [];
      const questions = ofConstraint(context, { table, constraint, command });
      if (!constraint.skip_validation) return questions;
      const added = nameOfConstraint(constraint, { table: table.name });
      this.#unvalidated.set(keyOf(table, added), questions);
      return [];
    });
    return only ? questions.map((question) => ({ ...question, alone: true as const })) : questions;
  }
}

const REPLACING: ReadonlySet<string> = new Set(['AT_AlterColumnType', 'AT_DropColumn']);

function keyOf(table: RelationName, constraint: string): string {
  return JSON.stringify([relationKey(table), constraint]);
}

function ofNotNull(
  { schema }: StatementContext,
  relation: RelationName,
  column: string,
): readonly DataQuestion[] {
  const known = schema.relation(relation);
  if (known !== undefined && provesNotNull(known, column)) return [];
  return [{ kind: 'nulls', relation, column }];
}

interface Added {
  readonly table: RelationName;
  readonly constraint: Constraint;
  readonly command: Command;
}

function ofConstraint(
  context: StatementContext,
  { table, constraint, command }: Added,
): readonly DataQuestion[] {
  const columns = constrainedColumns(constraint);
  switch (constraintKind(constraint)) {
    case 'not null':
      return columns
        .flatMap((column) => ofNotNull(context, table, column))
        .map((question) => ({ ...question, ...aloneIf(constraint) }));
    case 'primary key':
      if (constraint.indexname !== undefined) return [];
      return [
        ...columns.flatMap((column) => ofNotNull(context, table, column)),
        ...ofUnique(table, constraint, columns),
      ];
    case 'unique':
      return constraint.indexname === undefined ? ofUnique(table, constraint, columns) : [];
    case 'foreign key':
      return ofForeignKey(table, constraint, columns);
    case 'check':
      return ofCheck(table, constraint, command);
    default:
      return [];
  }
}

function ofUnique(
  relation: RelationName,
  { nulls_not_distinct, without_overlaps }: Constraint,
  columns: readonly string[],
): readonly DataQuestion[] {
  if (without_overlaps === true || columns.length === 0) return [];
  const parts = columns.map(written);
  const key = { parts, where: undefined, nullsNotDistinct: nulls_not_distinct === true };
  return [{ kind: 'duplicates', relation, key }];
}

/** PERIOD compares ranges, which is not searched for. */
function ofForeignKey(
  relation: RelationName,
  { pktable, pk_attrs, fk_matchtype, fk_with_period }: Constraint,
  columns: readonly string[],
): readonly DataQuestion[] {
  if (pktable === undefined || fk_with_period === true) return [];
  const full = fk_matchtype === 'f' ? { full: true as const } : {};
  const of = { references: relationOf(pktable), referenced: strings(pk_attrs), ...full };
  return [{ kind: 'orphans', relation, columns, ...of }];
}

function ofCheck(relation: RelationName, constraint: Constraint, { text }: Command): readonly DataQuestion[] {
  const tokens = codeTokensOf(text);
  const open = tokens.findIndex((token) => isWord(token, 'check')) + 1;
  if (open === 0) return [];
  const expression = text.slice(tokens[open]?.end, tokens[closingBracket(tokens, open)]?.start).trim();
  const name = nameOfConstraint(constraint, { table: relation.name });
  return [{ kind: 'violations', relation, constraint: name, expression, ...aloneIf(constraint) }];
}

function aloneIf({ is_no_inherit }: Constraint): { readonly alone?: true } {
  return is_no_inherit === true ? { alone: true } : {};
}

function ofUniqueIndex(context: StatementContext): readonly DataQuestion[] {
  const index = as('IndexStmt', context.tree);
  if (index?.unique !== true || index.relation === undefined) return [];
  const relation = relationOf(index.relation);
  const key = context.isExisting(relation) ? uniqueKeyOf(index, context) : undefined;
  return key === undefined ? [] : [{ kind: 'duplicates', relation, key }];
}
