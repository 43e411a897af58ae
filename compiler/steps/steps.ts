import type { Backfill } from '../../lambda/migration/backfill.ts';
import type { LongStatement, Statement, Step, TransactionOptions } from '../../lambda/migration/migration.ts';
import type { RelationName } from '../../lambda/migration/relation-name.ts';
import { fingerprint, fingerprints } from '../syntax/fingerprint.ts';
import type { ParsedStatement } from '../syntax/parse-file.ts';
import { as, kindOf, relationOf } from '../syntax/syntax-tree.ts';
import { altersOf } from '../touches/alters.ts';
import type { FolderFacts } from '../touches/folder-facts.ts';
import type { Kinship } from '../touches/kinship.ts';
import {
  changesSettings,
  isLocalSetting,
  isSetting,
  leavesSettings,
  withSetting,
} from '../touches/session-settings.ts';
import { touchesOf } from '../touches/touches.ts';
import { indexOperationOf } from './index-operation.ts';
import { hasRows, longStatementOf, readsOfView } from './long-statement.ts';
import { recoveryOf } from './recovery.ts';

/** A step before it knows its place among the others. */
export type StepDraft =
  | {
      readonly kind: 'transaction';
      readonly transaction: TransactionOptions;
      readonly statements: readonly ParsedStatement[];
      /** Its BEGIN is the author's own. */
      readonly authored?: boolean;
      /** `-- migrate: hand-off` */
      readonly handOff?: boolean;
      /** `-- migrate: backfill` */
      readonly backfill?: Backfill;
    }
  | {
      readonly kind: 'autocommit' | 'index-operation';
      readonly statement: ParsedStatement;
      readonly handOff?: boolean;
    };

/** Numbers the steps of a file and gives each the settings that those before it left behind. */
export function finishSteps(drafts: readonly StepDraft[], { kinship }: FolderFacts): readonly Step[] {
  let settings: readonly ParsedStatement[] = [];
  return drafts.map((draft, number) => {
    const statements = draft.kind === 'transaction' ? draft.statements : [draft.statement];
    const options = draft.kind === 'transaction' ? draft.transaction : {};
    // Another way of doing the same statement is another step.
    const kind = draft.kind === 'transaction' && draft.backfill !== undefined ? 'backfill' : draft.kind;
    const base = {
      number,
      fingerprint: fingerprint([{ kind, options }, ...statements.map(({ tree }) => tree)]),
      settings: settings.map(({ text }) => text),
      leavesSettings: statements.some(({ tree }) => leavesSettings(tree)),
    };
    if (statements.some(({ tree }) => discardsSettings(tree))) settings = [];
    settings = settingsLeftBy(statements).reduce(withSetting, settings);
    return finish(draft, base, kinship);
  });
}

/** 64 bits tell two beginnings of one step apart. */
const BEGINNING_DIGITS = 16;

function beginningsOf(
  statements: readonly ParsedStatement[],
  options: TransactionOptions,
): { readonly beginnings?: readonly string[] } {
  if (statements.length < 2) return {};
  const [, ...each] = fingerprints([{ kind: 'transaction', options }, ...statements.map(({ tree }) => tree)]);
  return { beginnings: each.slice(0, -1).map((print) => print.slice(0, BEGINNING_DIGITS)) };
}

type StepBase = Pick<Step, 'number' | 'fingerprint' | 'settings' | 'leavesSettings'>;

function finish(draft: StepDraft, base: StepBase, kinship: Kinship): Step {
  switch (draft.kind) {
    case 'transaction':
      return {
        ...base,
        kind: 'transaction',
        transaction: draft.transaction,
        ...beginningsOf(draft.statements, draft.transaction),
        statements: draft.statements.map((each) => toStatement(each, kinship)),
        ...longOf(draft, kinship),
      };
    case 'autocommit': {
      const { statement } = draft;
      return {
        ...base,
        kind: 'autocommit',
        statement: toStatement(statement, kinship),
        recovery: recoveryOf(statement.tree),
        ...longOf(draft, kinship),
      };
    }
    case 'index-operation': {
      const { statement } = draft;
      const operation = indexOperationOf(statement);
      return { ...base, kind: 'index-operation', statement: toStatement(statement, kinship), operation };
    }
  }
}

/** What the loop may carry: one statement, outside of a transaction of the author's own. */
function longOf(draft: StepDraft, kinship: Kinship): { readonly long?: LongStatement } {
  if (draft.kind === 'index-operation') return {};
  if (draft.kind === 'transaction') {
    if (draft.authored) return {};
    if (draft.backfill !== undefined) return { long: backfillAsLong(draft.backfill) };
  }
  const [statement, ...others] = draft.kind === 'transaction' ? draft.statements : [draft.statement];
  if (statement === undefined || others.length > 0) return {};
  const long = longStatementOf(statement.tree);
  if (!draft.handOff) return long === undefined ? {} : { long };
  const { touches } = toStatement(statement, kinship);
  const [relation] = [...touches.changes, ...touches.writes];
  if (long !== undefined) return { long: { ...long, handOff: true } };
  const rows = hasRows(statement.tree) && { hasRows: true as const };
  return { long: { operation: 'statement', relation, names: [], handOff: true, ...rows } };
}

/** Named by what it fills: the columns that an UPDATE sets, the table that an INSERT adds rows to. */
function backfillAsLong(backfill: Backfill): LongStatement {
  const { table, sets, insertsInto } = backfill;
  const names = insertsInto === undefined ? [...new Set(sets)] : [insertsInto.name];
  return { operation: 'backfill', relation: table, names, backfill };
}

function toStatement({ tree, text, position }: ParsedStatement, kinship: Kinship): Statement {
  const touches = touchesOf(tree, kinship);
  const unlessExists = indexThatMayExist(tree);
  const reads = readsOfView(tree);
  const renames = renamesOf(tree);
  return {
    text,
    position,
    kind: kindOf(tree),
    touches,
    alters: altersOf(tree, touches),
    ...(changesSettings(tree) && { changesSettings: true as const }),
    ...(unlessExists && { unlessExists }),
    ...(reads.length > 0 && { reads }),
    ...((isSetting(tree) || isLocalSetting(tree)) && { setting: true as const }),
    ...(renames && { renames }),
  };
}

function indexThatMayExist(tree: ParsedStatement['tree']): RelationName | undefined {
  const index = as('IndexStmt', tree);
  if (index?.if_not_exists !== true || index.idxname === undefined) return undefined;
  return { schema: index.relation?.schemaname, name: index.idxname };
}

function renamesOf(tree: ParsedStatement['tree']): Statement['renames'] {
  const { renameType, relation, newname } = as('RenameStmt', tree) ?? {};
  if (relation !== undefined && newname !== undefined && RENAMED.has(renameType ?? '')) {
    const from = relationOf(relation);
    return { from, to: { ...from, name: newname } };
  }
  const moved = as('AlterObjectSchemaStmt', tree);
  if (moved?.relation === undefined) return undefined;
  const from = relationOf(moved.relation);
  return { from, to: { schema: moved.newschema, name: from.name } };
}

/** What holds rows. */
const RENAMED: ReadonlySet<string> = new Set(['OBJECT_MATVIEW', 'OBJECT_TABLE', 'OBJECT_VIEW']);

function discardsSettings(tree: ParsedStatement['tree']): boolean {
  return as('DiscardStmt', tree)?.target === 'DISCARD_ALL';
}

/** ROLLBACK TO takes back the settings since its savepoint. */
function settingsLeftBy(statements: readonly ParsedStatement[]): readonly ParsedStatement[] {
  let settings: ParsedStatement[] = [];
  const savepoints: { readonly name: string; readonly settings: number }[] = [];
  for (const statement of statements) {
    const { tree } = statement;
    if (isSetting(tree)) settings.push(statement);
    const control = as('TransactionStmt', tree);
    const name = control?.savepoint_name ?? '';
    if (control?.kind === 'TRANS_STMT_SAVEPOINT') savepoints.push({ name, settings: settings.length });
    if (control?.kind === 'TRANS_STMT_ROLLBACK_TO') {
      const savepoint = savepoints.findLast((each) => each.name === name);
      settings = settings.slice(0, savepoint?.settings);
    }
  }
  return settings;
}
