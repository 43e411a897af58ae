import type { TransactionOptions } from '../../lambda/migration/migration.ts';
import { as, type Node } from '../syntax/syntax-tree.ts';

/** Reads `isolation level …`, `read only`, `deferrable` of BEGIN, START TRANSACTION and SET TRANSACTION. */
export function transactionOptions(options: readonly Node[] | undefined): TransactionOptions {
  const read: { -readonly [Key in keyof TransactionOptions]: TransactionOptions[Key] } = {};
  for (const node of options ?? []) {
    const option = as('DefElem', node);
    const value = as('A_Const', option?.arg);
    const on = (value?.ival?.ival ?? 0) !== 0;
    if (option?.defname === 'transaction_isolation') {
      read.isolation = value?.sval?.sval as NonNullable<TransactionOptions['isolation']>;
    } else if (option?.defname === 'transaction_read_only') read.readOnly = on;
    else if (option?.defname === 'transaction_deferrable') read.deferrable = on;
  }
  return read;
}

/** SET TRANSACTION with modes; SET TRANSACTION SNAPSHOT is a statement like others. */
export function setTransaction(tree: Node): TransactionOptions | undefined {
  const set = as('VariableSetStmt', tree);
  if (set?.kind !== 'VAR_SET_MULTI' || set.name !== 'TRANSACTION') return undefined;
  return transactionOptions(set.args);
}
