import type { BuildState, RecordedBuild } from '../../../lambda/migration/build.ts';
import type { RecordedStep, StepState } from '../../../lambda/migration/ledger.ts';
import type {
  CompiledMigrations,
  Migration,
  Statement,
  Step,
  Touches,
} from '../../../lambda/migration/migration.ts';
import type { RelationName } from '../../../lambda/migration/relation-name.ts';
import { parseVersion, type Version } from '../../../lambda/migration/version.ts';

/** Values for the tests of pure functions; the compiler makes the real ones. */
export function version(text: string): Version {
  const parsed = parseVersion(text);
  if (parsed === undefined) throw new Error(`${text} is no version`);
  return parsed;
}

/** Code that knows no file: what was handed off is of other code. */
export const emptyFolder: CompiledMigrations = { format: 1, checksum: '', migrations: [] };

const NO_TOUCHES: Touches = { creates: [], changes: [], writes: [], upserts: [], indexes: [], opaque: false };

export function statement(kind: string, touches: Partial<Touches> = {}): Statement {
  return {
    text: kind.toLowerCase(),
    position: { line: 1, column: 1 },
    kind,
    touches: { ...NO_TOUCHES, ...touches },
  };
}

export function transaction(number: number, ...statements: readonly Statement[]): Step {
  return {
    kind: 'transaction',
    number,
    fingerprint: `print ${number}`,
    settings: [],
    leavesSettings: false,
    transaction: {},
    statements,
  };
}

export function createIndex(number: number, table: RelationName, index: string): Step {
  return {
    kind: 'index-operation',
    number,
    fingerprint: `print ${number}`,
    settings: [],
    leavesSettings: false,
    statement: statement('IndexStmt', { changes: [table] }),
    operation: {
      kind: 'create-index',
      table,
      index,
      unique: false,
      ifNotExists: false,
      definition: '(x)',
      only: false,
      suggestedName: index,
    },
  };
}

export function migration(of: string, steps: readonly Step[], more: Partial<Migration> = {}): Migration {
  return {
    version: version(of),
    name: `${of}_name`,
    file: `${of}_name.sql`,
    checksum: `bytes of ${of}`,
    steps,
    undo: undefined,
    waitsForBuilds: false,
    allowed: [],
    ...more,
  };
}

/** The row of one step as it was when the migration looked like this. */
export function recorded(of: Migration, step: number, state: StepState = 'applied'): RecordedStep {
  return {
    version: of.version,
    step,
    steps: of.steps.length,
    name: of.name,
    checksum: of.checksum,
    fingerprint: of.steps[step]?.fingerprint ?? '',
    state,
  };
}

export function build(of: {
  readonly version?: string;
  readonly table: string;
  readonly index: string;
  readonly schema?: string;
  readonly unique?: boolean;
  readonly state?: BuildState;
}): RecordedBuild {
  return {
    id: '1',
    step: 0,
    operation: 'create',
    schema: 'public',
    unique: false,
    state: 'pending',
    ...of,
    version: version(of.version ?? '1'),
  };
}
