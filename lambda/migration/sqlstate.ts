import type { PostgresFault } from './postgres-fault.ts';

/** SQLSTATEs by name, so that no code compares message texts. */
export const sqlstate = {
  connectionException: '08000',
  unableToConnect: '08001',
  connectionFailure: '08006',
  protocolViolation: '08P01',
  featureNotSupported: '0A000',
  divisionByZero: '22012',
  invalidCharacter: '22021',
  invalidParameterValue: '22023',
  untranslatableCharacter: '22P05',
  notNullViolation: '23502',
  foreignKeyViolation: '23503',
  uniqueViolation: '23505',
  checkViolation: '23514',
  exclusionViolation: '23P01',
  activeTransaction: '25001',
  readOnlyTransaction: '25006',
  idleInTransactionTimeout: '25P03',
  transactionTimeout: '25P04',
  invalidAuthorization: '28000',
  invalidPassword: '28P01',
  dependentObjectsExist: '2BP01',
  invalidTransactionTermination: '2D000',
  undefinedDatabase: '3D000',
  undefinedSchema: '3F000',
  serializationFailure: '40001',
  deadlockDetected: '40P01',
  insufficientPrivilege: '42501',
  duplicateColumn: '42701',
  undefinedColumn: '42703',
  syntaxError: '42601',
  undefinedObject: '42704',
  duplicateObject: '42710',
  duplicateFunction: '42723',
  wrongObjectType: '42809',
  invalidForeignKey: '42830',
  undefinedFunction: '42883',
  undefinedTable: '42P01',
  duplicateDatabase: '42P04',
  duplicateSchema: '42P06',
  duplicateTable: '42P07',
  invalidColumnReference: '42P10',
  invalidFunctionDefinition: '42P13',
  invalidTableDefinition: '42P16',
  diskFull: '53100',
  outOfMemory: '53200',
  tooManyConnections: '53300',
  objectNotInPrerequisiteState: '55000',
  objectInUse: '55006',
  cantChangeRuntimeParameter: '55P02',
  lockNotAvailable: '55P03',
  unsafeNewEnumValue: '55P04',
  queryCanceled: '57014',
  adminShutdown: '57P01',
  crashShutdown: '57P02',
  cannotConnectNow: '57P03',
  idleSessionTimeout: '57P05',
  systemError: '58000',
  undefinedFile: '58P01',
  internalError: 'XX000',
} as const;

function states(...list: readonly string[]): ReadonlySet<string> {
  return new Set(list);
}

/** The server ends the session after these. */
export const endsSession = states(
  sqlstate.adminShutdown,
  sqlstate.crashShutdown,
  sqlstate.idleSessionTimeout,
  sqlstate.idleInTransactionTimeout,
  sqlstate.transactionTimeout,
);

/** A server that may let us in a moment later: starting, restarting, or full. Neon's proxy says XX000 for all of it. */
export const mayLetUsInLater = states(
  sqlstate.adminShutdown,
  sqlstate.crashShutdown,
  sqlstate.cannotConnectNow,
  sqlstate.tooManyConnections,
  sqlstate.connectionException,
  sqlstate.unableToConnect,
  sqlstate.connectionFailure,
  sqlstate.internalError,
);

/** Somebody else was in the way for a moment: the same transaction may go through when it is sent again, whole. */
export const inTheWay = states(
  sqlstate.lockNotAvailable,
  sqlstate.deadlockDetected,
  sqlstate.serializationFailure,
);

/** Connection, resources, system, internal: whole classes by their first two characters. */
const PASSING_CLASSES = states('08', '53', '58', 'XX');
const PASSING = states(
  ...endsSession,
  ...inTheWay,
  sqlstate.cannotConnectNow,
  sqlstate.queryCanceled,
  sqlstate.objectInUse,
  // Somebody was faster; the catalog tells what is there now.
  sqlstate.duplicateTable,
);

/**
 * What was refused can't succeed until a person changes the data, the definition or a permission. After any other
 * fault it may: cancelled, ended by the server or an administrator, deadlocked, out of a resource, or in the way of
 * somebody for a moment.
 */
export function isPermanent({ sqlstate: code }: PostgresFault): boolean {
  return !PASSING.has(code) && !PASSING_CLASSES.has(code.slice(0, 2));
}
