import { dataRules } from '../../lambda/migration/deploy-check.ts';
import type { Rule, Severity } from './rule.ts';
import {
  changeColumnType,
  dropColumn,
  dropIndexedColumn,
  dropNotNull,
  renameColumn,
} from './rules/changed-columns.ts';
import {
  checkWithoutNotValid,
  foreignKeyWithoutNotValid,
  setNotNull,
  validateInSameTransaction,
} from './rules/constraints.ts';
import { typeRules } from './rules/data-types.ts';
import { dropCascade, dropSchema, dropTable, truncate } from './rules/dropped-objects.ts';
import { duplicateIndex, redundantIndex } from './rules/duplicate-indexes.ts';
import { enumValueOrder, renameEnumValue } from './rules/enum-values.ts';
import { foreignKeyWithoutIndex } from './rules/foreign-key-index.ts';
import { nameTooLong } from './rules/long-names.ts';
import {
  constrainedDomainColumn,
  identityColumn,
  requiredColumn,
  storedGeneratedColumn,
  volatileDefault,
} from './rules/new-columns.ts';
import { attachWithoutCheck, createPartitionOf, detachWithoutConcurrently } from './rules/partitions.ts';
import { ifNotExistsIndex, plainCreateIndex, plainDropIndex, plainReindex } from './rules/plain-indexes.ts';
import { renameTable } from './rules/renamed-tables.ts';
import {
  cluster,
  lockTable,
  refreshWithoutConcurrently,
  rewriteTable,
  vacuumFull,
  viewFilledAtOnce,
} from './rules/table-maintenance.ts';
import {
  opaqueStatement,
  severalTablesLocked,
  unboundedWrite,
  writeUnderLock,
} from './rules/transactions.ts';
import {
  createTrigger,
  disableTrigger,
  domainConstraint,
  rowSecurityWithoutPolicy,
} from './rules/triggers.ts';
import {
  exclusionConstraint,
  primaryKeyWithoutIndex,
  uniqueWithoutIndex,
} from './rules/unique-constraints.ts';
import { uppercaseName } from './rules/uppercase-names.ts';

/** Every rule that looks at statements, as docs/lint.md orders them. */
export const rules: readonly Rule[] = [
  plainCreateIndex,
  plainDropIndex,
  plainReindex,
  ifNotExistsIndex,
  duplicateIndex,
  redundantIndex,
  nameTooLong,

  checkWithoutNotValid,
  foreignKeyWithoutNotValid,
  foreignKeyWithoutIndex,
  uniqueWithoutIndex,
  primaryKeyWithoutIndex,
  exclusionConstraint,
  setNotNull,
  validateInSameTransaction,
  domainConstraint,

  requiredColumn,
  volatileDefault,
  storedGeneratedColumn,
  identityColumn,
  constrainedDomainColumn,
  changeColumnType,
  renameColumn,
  dropColumn,
  dropIndexedColumn,
  dropNotNull,

  renameTable,
  renameEnumValue,
  enumValueOrder,
  dropTable,
  dropCascade,
  dropSchema,
  truncate,
  unboundedWrite,

  severalTablesLocked,
  writeUnderLock,
  lockTable,
  vacuumFull,
  cluster,
  rewriteTable,
  refreshWithoutConcurrently,
  viewFilledAtOnce,
  attachWithoutCheck,
  detachWithoutConcurrently,
  createPartitionOf,
  createTrigger,
  disableTrigger,
  rowSecurityWithoutPolicy,
  opaqueStatement,

  ...typeRules,
  uppercaseName,
];

/** Rules about `-- migrate: allow` itself. */
export const allowRules = {
  unknown: {
    name: 'unknown-rule',
    severity: 'error',
    title: '-- migrate: allow with the name of no rule',
  },
  unused: {
    name: 'unused-allow',
    severity: 'advice',
    title: '-- migrate: allow of a rule that finds nothing in the file',
  },
} as const satisfies Record<string, { name: string; severity: Severity; title: string }>;

/** Rules about the data, which only the deploy can ask. */
export const deployRules = [
  { name: dataRules.nulls, severity: 'error', title: 'NOT NULL on a column that holds nulls' },
  { name: dataRules.orphans, severity: 'error', title: 'a FOREIGN KEY on rows that refer to nothing' },
  { name: dataRules.duplicates, severity: 'error', title: 'a unique index over values that occur twice' },
  { name: dataRules.violations, severity: 'error', title: 'a CHECK that rows are against' },
] as const satisfies readonly { name: string; severity: Severity; title: string }[];

/** Rules that find something at synth. */
export const synthRuleNames: ReadonlySet<string> = new Set([
  ...rules.map(({ name }) => name),
  ...Object.values(allowRules).map(({ name }) => name),
]);

export const ruleNames: ReadonlySet<string> = new Set([
  ...synthRuleNames,
  ...deployRules.map(({ name }) => name),
]);
