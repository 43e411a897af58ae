import type { ParsedStatement } from '../syntax/parse-file.ts';
import { as } from '../syntax/syntax-tree.ts';
import { Kinship } from './kinship.ts';
import { createdProcedure, type ProcedureBody, procedureBody } from './procedure-body.ts';

/** What the statements of a folder tell about each other. Names have no schemas, since search paths differ. */
export interface FolderFacts {
  /** Procedures whose body commits, or calls one that does. */
  readonly committingProcedures: ReadonlySet<string>;
  /** Tables made with PARTITION BY: some statements are refused in a transaction only for these. */
  readonly partitionedTables: ReadonlySet<string>;
  readonly kinship: Kinship;
}

export function gatherFacts(statements: Iterable<ParsedStatement>): FolderFacts {
  const bodies = new Map<string, ProcedureBody>();
  const partitionedTables = new Set<string>();
  const kinship = new Kinship();
  for (const statement of statements) {
    kinship.learn(statement.tree);
    const create = as('CreateStmt', statement.tree);
    if (create?.partspec !== undefined) partitionedTables.add(create.relation?.relname ?? '');
    const procedure = createdProcedure(statement.tree);
    const body = procedure === undefined ? undefined : procedureBody(statement);
    if (procedure !== undefined && body !== undefined) bodies.set(procedure, body);
  }
  return { committingProcedures: committing(bodies), partitionedTables, kinship };
}

function committing(bodies: ReadonlyMap<string, ProcedureBody>): ReadonlySet<string> {
  const names = new Set([...bodies].filter(([, body]) => body.commits).map(([name]) => name));
  for (let before = -1; before !== names.size; ) {
    before = names.size;
    for (const [name, body] of bodies) if (body.calls.some((called) => names.has(called))) names.add(name);
  }
  return names;
}
