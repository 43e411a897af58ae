import type { TransactionStmt } from 'libpg-query';
import type { TransactionOptions } from '../../lambda/migration/migration.ts';
import type { Directives, PlacedBackfill } from '../syntax/directives.ts';
import type { ParsedFile, ParsedStatement } from '../syntax/parse-file.ts';
import { type Finding, problemAt } from '../syntax/problem.ts';
import { as, type Node } from '../syntax/syntax-tree.ts';
import type { FolderFacts } from '../touches/folder-facts.ts';
import { changesEncoding, changesStrings } from '../touches/session-settings.ts';
import { longStatementOf } from './long-statement.ts';
import {
  backfillOfNothing,
  backfillTwice,
  backfillWithin,
  handOffInTransaction,
  insideTransaction,
  lateSetTransaction,
  nestedBegin,
  notHandedOff,
  nothingToHandOff,
  otherEncoding,
  otherStrings,
  preparedTransaction,
  refusedClientCopy,
  rollback,
  unended,
} from './misplaced-statement.ts';
import { type Placement, placementOf } from './placement.ts';
import type { StepDraft } from './steps.ts';
import { NoBackfill, takeApart } from './take-apart.ts';

/** A transaction step that still gathers statements. `begin` is the author's own BEGIN, or COMMIT AND CHAIN. */
interface OpenTransaction {
  readonly begin: ParsedStatement | undefined;
  readonly options: TransactionOptions;
  readonly statements: ParsedStatement[];
}

/**
 * Divides a file into steps.
 *
 * @throws FileRefused at a statement that has no place in a migration, or not at this place
 */
export function divideFile(
  file: ParsedFile,
  directives: Directives,
  facts: FolderFacts,
): readonly StepDraft[] {
  const division = new Division(file, directives);
  const handedOff = statementsAfter(file, directives.handOff);
  for (const statement of file.statements) {
    const placement = placementOf(statement, facts);
    if (handedOff.has(statement)) division.handOff(statement, placement);
    else division.add(statement, placement);
  }
  return division.end();
}

/** Each directive means the statement that follows it. */
function statementsAfter(file: ParsedFile, places: readonly number[]): Set<ParsedStatement> {
  return new Set(
    places.map((index) => {
      const next = file.statements.find((statement) => statement.index > index);
      if (next === undefined) throw problemAt(file.source, nothingToHandOff(index));
      return next;
    }),
  );
}

class Division {
  readonly #file: ParsedFile;
  readonly #autocommit: boolean;
  readonly #backfills: PlacedBackfill[];
  readonly #drafts: StepDraft[] = [];
  #open: OpenTransaction | undefined;

  constructor(file: ParsedFile, directives: Directives) {
    this.#file = file;
    this.#autocommit = directives.noTransaction;
    this.#backfills = [...directives.backfills];
  }

  add(statement: ParsedStatement, placement: Placement): void {
    this.#fits(statement);
    const backfill = this.#backfillOf(statement);
    if (backfill !== undefined) {
      this.#backfill(statement, backfill);
      return;
    }
    switch (placement.kind) {
      case 'control':
        this.#control(statement, placement.control);
        break;
      case 'transaction':
        this.#transactional(statement);
        break;
      case 'own-transaction':
        this.#ownTransaction(statement);
        break;
      case 'autocommit':
        // What only the catalog can tell, Postgres may tell.
        if (this.#open?.begin !== undefined && !placement.certain) this.#transactional(statement);
        else this.#alone(statement, placement);
        break;
      case 'index-operation':
        this.#alone(statement, placement);
        break;
    }
  }

  /** `-- migrate: hand-off` is before it. */
  handOff(statement: ParsedStatement, placement: Placement): void {
    const long = longStatementOf(statement.tree);
    const transactional = placement.kind === 'transaction' || placement.kind === 'own-transaction';
    if (long === undefined && 'what' in placement) throw this.#refuse(notHandedOff(statement, placement));
    if (this.#open?.begin !== undefined)
      throw this.#refuse(handOffInTransaction(statement, this.#open.begin));
    this.#fits(statement);
    this.#close();
    this.#drafts.push(
      transactional
        ? { kind: 'transaction', transaction: {}, statements: [statement], handOff: true }
        : { kind: 'autocommit', statement, handOff: true },
    );
  }

  end(): readonly StepDraft[] {
    if (this.#open?.begin !== undefined) throw this.#refuse(unended(this.#open.begin));
    const [left] = this.#backfills;
    if (left !== undefined) throw this.#refuse(backfillOfNothing(left));
    this.#close();
    // An empty file is recorded as well.
    return this.#drafts.length > 0
      ? this.#drafts
      : [{ kind: 'transaction', transaction: {}, statements: [] }];
  }

  /** The directive before this statement and after the one before it. */
  #backfillOf(statement: ParsedStatement): PlacedBackfill | undefined {
    const [next, second] = this.#backfills;
    if (next === undefined || next.index > statement.index + statement.text.length) return undefined;
    if (next.index > statement.index) throw this.#refuse(backfillWithin(next));
    if (second !== undefined && second.index < statement.index) throw this.#refuse(backfillTwice(second));
    this.#backfills.shift();
    return next;
  }

  #backfill(statement: ParsedStatement, { directive }: PlacedBackfill): void {
    const begin = this.#open?.begin;
    if (begin !== undefined) throw this.#refuse(insideTransaction(statement, { what: 'A backfill', begin }));
    this.#close();
    try {
      const backfill = takeApart(statement, directive);
      this.#drafts.push({ kind: 'transaction', transaction: {}, statements: [statement], backfill });
    } catch (error) {
      if (error instanceof NoBackfill) throw this.#refuse(error.finding);
      throw error;
    }
  }

  #control(statement: ParsedStatement, { kind, options, chain }: TransactionStmt): void {
    switch (kind) {
      case 'TRANS_STMT_BEGIN':
      case 'TRANS_STMT_START':
        if (this.#open?.begin !== undefined) throw this.#refuse(nestedBegin(statement, this.#open.begin));
        this.#close();
        this.#open = { begin: statement, options: transactionOptions(options), statements: [] };
        return;
      case 'TRANS_STMT_COMMIT': {
        const closed = this.#open;
        this.#close();
        if (chain && closed !== undefined) this.#open = { ...closed, begin: statement, statements: [] };
        return;
      }
      case 'TRANS_STMT_PREPARE':
        throw this.#refuse(preparedTransaction(statement));
      default:
        throw this.#refuse(rollback(statement));
    }
  }

  #transactional(statement: ParsedStatement): void {
    if (this.#open === undefined && this.#autocommit) {
      this.#drafts.push({ kind: 'autocommit', statement });
      return;
    }
    const open: OpenTransaction = this.#open ?? { begin: undefined, options: {}, statements: [] };
    const options = setTransaction(statement.tree);
    if (options !== undefined && open.statements.every(({ tree }) => 'VariableSetStmt' in tree)) {
      this.#open = { ...open, options: { ...open.options, ...options } };
      return;
    }
    // PostgreSQL allows a later change of READ ONLY, and may decide about it.
    if (options?.isolation !== undefined || options?.deferrable !== undefined) {
      throw this.#refuse(lateSetTransaction(statement));
    }
    open.statements.push(statement);
    this.#open = open;
  }

  /** Within the author's own transaction it stays where it is: only a later use of the new value would fail. */
  #ownTransaction(statement: ParsedStatement): void {
    const within = this.#open?.begin !== undefined;
    if (!within) this.#close();
    this.#transactional(statement);
    if (!within) this.#close();
  }

  #alone(statement: ParsedStatement, { kind, what }: Extract<Placement, { readonly what: string }>): void {
    const begin = this.#open?.begin;
    if (begin !== undefined) throw this.#refuse(insideTransaction(statement, { what, begin }));
    this.#close();
    this.#drafts.push({ kind, statement });
  }

  #close(): void {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined || open.statements.length === 0) return;
    this.#drafts.push({
      kind: 'transaction',
      transaction: open.options,
      statements: open.statements,
      authored: open.begin !== undefined,
    });
  }

  #fits(statement: ParsedStatement): void {
    if (changesStrings(statement.tree)) throw this.#refuse(otherStrings(statement));
    if (changesEncoding(statement.tree) && /[^\p{ASCII}]/u.test(this.#file.source.text))
      throw this.#refuse(otherEncoding(statement));
    if (isClientCopy(statement)) throw this.#refuse(refusedClientCopy(statement));
  }

  #refuse(finding: Finding): Error {
    return problemAt(this.#file.source, finding);
  }
}

function isClientCopy({ tree }: ParsedStatement): boolean {
  const copy = as('CopyStmt', tree);
  return copy !== undefined && copy.filename === undefined;
}

/** Reads `isolation level …`, `read only`, `deferrable` of BEGIN, START TRANSACTION and SET TRANSACTION. */
function transactionOptions(options: readonly Node[] | undefined): TransactionOptions {
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
function setTransaction(tree: Node): TransactionOptions | undefined {
  const set = as('VariableSetStmt', tree);
  if (set?.kind !== 'VAR_SET_MULTI' || set.name !== 'TRANSACTION') return undefined;
  return transactionOptions(set.args);
}
