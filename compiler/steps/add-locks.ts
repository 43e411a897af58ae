import type { Position, Step } from '../../lambda/migration/migration.ts';
import { statementLocks } from '../locks/statement-locks.ts';
import { learn } from '../schema/learn.ts';
import { Schema } from '../schema/schema.ts';
import { mapStatements } from './map-statements.ts';
import type { ParsedMigration, ParsedMigrationFile } from './parsed-migration.ts';

/**
 * Adds to each statement the locks that it takes, which depend on what earlier files have created. An undo file is read
 * as running right after its migration.
 */
export function addLocks(migrations: readonly ParsedMigration[]): readonly ParsedMigration[] {
  const schema = new Schema();
  return migrations.map((each) => {
    const { migration, up, undo } = each;
    const steps = lockSteps(migration.steps, locksOf(up, schema));
    if (undo === undefined || migration.undo === undefined) {
      return { ...each, migration: { ...migration, steps } };
    }
    const undoSteps = lockSteps(migration.undo.steps, locksAfter(undo, schema));
    return { ...each, migration: { ...migration, steps, undo: { ...migration.undo, steps: undoSteps } } };
  });
}

type Locks = ReadonlyMap<string, ReturnType<typeof statementLocks>>;

/** Applies the file to the schema. */
function locksOf({ source, statements }: ParsedMigrationFile, schema: Schema): Locks {
  const locks = new Map<string, ReturnType<typeof statementLocks>>();
  for (const [number, { tree, position }] of statements.entries()) {
    locks.set(keyOf(position), statementLocks(tree, schema));
    learn(schema, tree, { file: source.file, statement: number });
  }
  return locks;
}

/** The undo file does not run before later files, so it must not change the schema. */
function locksAfter({ statements }: ParsedMigrationFile, schema: Schema): Locks {
  return new Map(statements.map(({ tree, position }) => [keyOf(position), statementLocks(tree, schema)]));
}

function lockSteps(steps: readonly Step[], locks: Locks): readonly Step[] {
  return mapStatements(steps, (statement) => ({
    ...statement,
    locks: locks.get(keyOf(statement.position)) ?? [],
  }));
}

function keyOf({ line, column }: Position): string {
  return `${line}:${column}`;
}
