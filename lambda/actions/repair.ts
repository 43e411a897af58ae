import * as v from 'valibot';
import { baselinedRows } from '../history/adopt.ts';
import { isOpen, nameOf, type RecordedBuild } from '../migration/build.ts';
import type { RecordedStep } from '../migration/ledger.ts';
import type { CompiledMigrations, Migration } from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import type { Version } from '../migration/version.ts';
import { forgetRows, insertStep, setStepState } from '../postgres/ledger/ledger.ts';
import { must } from '../postgres/ledger/ledger-write.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/session/quote.ts';
import type { Session } from '../postgres/session/session.ts';
import { stepRow } from '../run/step-script.ts';
import { type ActionContext, by, changingAction, confirm, version } from './define-action.ts';

export interface LedgerChange {
  /** One line per migration, for a person. */
  readonly changed: readonly string[];
}

export const baseline = changingAction({
  name: 'baseline',
  schema: v.strictObject({ action: v.literal('baseline'), version, confirm, by }),
  examples: [
    [
      '{"action": "baseline", "version": "20260101", "confirm": true}',
      'take all up to this version as applied already',
    ],
  ],
  needsConfirmation: true,
  done: 'changed',
  perform: takeAsApplied,
});

const repairSchema = v.strictObject({
  action: v.literal('repair'),
  version,
  accept: v.optional(v.literal('checksum')),
  step: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
  as: v.optional(v.picklist(['applied', 'not-applied'])),
  continueAt: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
  forget: v.optional(v.literal(true)),
  confirm,
  by,
});

type Repair = v.InferOutput<typeof repairSchema>;

export const repair = changingAction({
  name: 'repair',
  schema: repairSchema,
  examples: [
    [
      '{"action": "repair", "version": "7", "accept": "checksum", "confirm": true}',
      'accept the changed file',
    ],
    [
      '{"action": "repair", "version": "7", "step": 2, "as": "applied", "confirm": true}',
      'or "not-applied": settle an interrupted step',
    ],
    ['{"action": "repair", "version": "7", "forget": true, "confirm": true}', 'forget that it was applied'],
    [
      '{"action": "repair", "version": "7", "as": "applied", "confirm": true}',
      'or "not-applied": settle what another tool left open',
    ],
    [
      '{"action": "repair", "version": "7", "continueAt": 2, "confirm": true}',
      'the same: steps before this one are applied',
    ],
  ],
  needsConfirmation: true,
  done: 'changed',
  problem: (action) =>
    formsOf(action) === 1
      ? undefined
      : 'repair does one thing: "accept": "checksum"; or "as", of a "step" or of the whole; or "continueAt"; or "forget": true',
  perform: repairLedger,
});

function formsOf({ accept, step, as, forget, continueAt }: Repair): number {
  // A step can't be settled without saying how.
  if (step !== undefined && as === undefined) return 0;
  return [accept, forget, as, continueAt].filter((form) => form !== undefined).length;
}

/** Records every migration up to a version as applied: for a database that is older than its ledger. */
async function takeAsApplied(
  session: Session,
  { version }: { readonly version: Version },
  { ledgerSchema, migrations, runId, read, adoption, mirror }: ActionContext,
): Promise<LedgerChange> {
  const recorded = new Set(read.ledger.steps.map((row) => row.version));
  const last = migrations.migrations.findIndex((migration) => migration.version === version);
  if (last === -1) throw unknownVersion(version, migrations);
  const taken = migrations.migrations.slice(0, last + 1).filter((each) => !recorded.has(each.version));
  const rows = taken.flatMap((migration) =>
    migration.steps.map((step) =>
      insertStep(ledgerSchema, stepRow({ migration, step }), { state: 'baselined', runId }),
    ),
  );
  // What stands for others has no row of its own where these have theirs.
  const there = taken.filter((each) => each.kind !== 'checkpoint' && !adoption.applied.includes(each));
  const written = there.flatMap((each) => mirror?.stamped(each) ?? []);
  await must(session, ['begin', ...rows, ...written, 'commit'].join(';\n'));
  return { changed: taken.map(({ name }) => `${name} is taken as applied`) };
}

/** Makes the ledger agree with what an operator knows to be true. Touches no table of the user's. */
async function repairLedger(session: Session, action: Repair, context: ActionContext): Promise<LedgerChange> {
  const { ledgerSchema, read, migrations, mirror } = context;
  const rows = read.ledger.steps.filter((row) => row.version === action.version);
  if (action.continueAt !== undefined || (action.as !== undefined && action.step === undefined)) {
    return settleMigration(session, action, { ...context, rows });
  }
  if (rows.length === 0) throw notRecorded(action.version);
  if (action.forget === true) {
    const forgotten = migrations.migrations.find(({ version }) => version === action.version);
    const open = read.ledger.builds.find((build) => build.version === action.version && isOpen(build));
    if (open !== undefined) throw buildUnderWay(open);
    await must(
      session,
      [
        'begin',
        ...forgetRows(ledgerSchema, { version: action.version }),
        // Otherwise the next run would adopt it again.
        ...(forgotten === undefined ? [] : (mirror?.forgotten(forgotten) ?? [])),
        'commit',
      ].join(';\n'),
    );
    return { changed: [`${rows[0]?.name ?? action.version} is forgotten: the next run applies it again`] };
  }
  if (action.accept === 'checksum') {
    const migration = migrations.migrations.find(({ version }) => version === action.version);
    if (migration === undefined) throw unknownVersion(action.version, migrations);
    if (rows.every(({ checksum }) => checksum === migration.checksum)) throw nothingToAccept(migration);
    await must(
      session,
      [
        'begin',
        ...acceptFile(ledgerSchema, migration, { rows, runId: context.runId }),
        ...(mirror?.accepted(migration) ?? []),
        'commit',
      ].join(';\n'),
    );
    return {
      changed: [`${migration.name} is accepted as it is now (checksum ${migration.checksum.slice(0, 12)})`],
    };
  }
  return settleStep(session, action, { ...context, rows });
}

/**
 * Accepts the file's present steps as what was applied. Of a partially applied file only the recorded steps are
 * accepted: the rest still has to run.
 */
function acceptFile(
  ledgerSchema: string,
  migration: Migration,
  { rows, runId }: { rows: readonly RecordedStep[]; runId: string },
): string[] {
  const s = quoteIdentifier(ledgerSchema);
  const ofVersion = `version = ${quoteLiteral(migration.version)}`;
  const steps = migration.steps.length;
  const whole = rows.length >= (rows[0]?.steps ?? 0);
  return [
    `delete from ${s}.step where ${ofVersion} and step >= ${steps}`,
    ...migration.steps.flatMap(({ number, fingerprint }) => {
      const { version, name, checksum } = migration;
      if (rows.some((row) => row.step === number)) {
        return [
          `update ${s}.step set checksum = ${quoteLiteral(checksum)}, fingerprint = ${quoteLiteral(fingerprint)}, steps = ${steps}
            where ${ofVersion} and step = ${number}`,
        ];
      }
      if (!whole) return [];
      return [
        insertStep(
          ledgerSchema,
          { version, step: number, steps, name, checksum, fingerprint },
          { state: 'applied', runId },
        ),
      ];
    }),
  ];
}

/** Settles what another tool's history leaves open, in the ledger and in the tool's own table. */
async function settleMigration(
  session: Session,
  { version, as, continueAt }: Repair,
  {
    ledgerSchema,
    migrations,
    runId,
    rows,
    adoption,
    mirror,
  }: ActionContext & { rows: readonly RecordedStep[] },
): Promise<LedgerChange> {
  const migration = migrations.migrations.find((each) => each.version === version);
  if (migration === undefined) throw unknownVersion(version, migrations);
  if (rows.length > 0) throw alreadyRecorded(migration);
  const last = migration.steps.length;
  if (continueAt !== undefined && continueAt > last) throw noSuchStep(migration, continueAt);
  const applied = as === 'applied' ? last : (continueAt ?? 1) - 1;
  const taken = (each: Migration, steps?: number) =>
    baselinedRows(each)
      .slice(0, steps)
      .map((row) =>
        insertStep(ledgerSchema, { ...row, position: each.position }, { state: 'baselined', runId }),
      );
  // With what is not doubtful, since where the tool keeps a mark alone, the ledger's newest tells where it stood.
  const texts = [...adoption.applied.flatMap((each) => taken(each)), ...taken(migration, applied)];
  const notApplied = `update ${quoteIdentifier(ledgerSchema)}.ledger set not_applied = pg_catalog.array_append(not_applied, ${quoteLiteral(version)})`;
  const there = applied === last ? mirror?.applied(migration) : mirror?.notApplied(migration);
  await must(
    session,
    ['begin', ...texts, ...(applied === 0 ? [notApplied] : []), ...(there ?? []), 'commit'].join(';\n'),
  );
  const said =
    applied === last
      ? 'is taken as applied'
      : applied === 0
        ? 'is not applied: the next run applies it'
        : `is applied before step ${applied + 1}: the next run continues with that`;
  return { changed: [`${migration.name} ${said}`] };
}

function alreadyRecorded({ name, version }: Migration): MigrationError {
  return new MigrationError({
    code: 'repair-refused',
    what: `The ledger has ${name} already, so nothing of it is left open.`,
    applied: 'nothing.',
    next: `look at the action status; an interrupted step is settled with its number: {"action": "repair", "version": "${version}", "step": 1, "as": "applied", "confirm": true}.`,
  });
}

function noSuchStep({ name, steps }: Migration, step: number): MigrationError {
  return new MigrationError({
    code: 'repair-refused',
    what: `${name} has ${steps.length === 1 ? 'one step' : `${steps.length} steps`}, and can't continue at step ${step}.`,
    applied: 'nothing.',
    next: 'look at the action plan, which shows its steps.',
  });
}

async function settleStep(
  session: Session,
  { version, step = 0, as }: Repair,
  { ledgerSchema, rows }: ActionContext & { rows: readonly RecordedStep[] },
): Promise<LedgerChange> {
  const row = rows.find((candidate) => candidate.step === step - 1);
  if (row?.state !== 'started') {
    throw new MigrationError({
      code: 'repair-not-interrupted',
      what: `Step ${step} of version ${version} was not interrupted${row === undefined ? '; it is not recorded' : `: it is ${row.state}`}.`,
      applied: 'nothing.',
      next: 'look at the action status: only a step that was under way when its run died can be settled.',
    });
  }
  const s = quoteIdentifier(ledgerSchema);
  const text =
    as === 'applied'
      ? setStepState(ledgerSchema, { version, step: step - 1 }, 'applied')
      : `delete from ${s}.step where version = ${quoteLiteral(version)} and step = ${step - 1} and state = 'started'`;
  await must(session, text);
  return {
    changed: [
      `step ${step} of ${row.name} is ${as === 'applied' ? 'applied' : 'not applied: the next run sends it again'}`,
    ],
  };
}

/** Its build would continue, with nobody to clean up after it. */
function buildUnderWay(build: RecordedBuild): MigrationError {
  const { table } = build;
  const name = nameOf(build);
  return new MigrationError({
    code: 'repair-refused',
    what: `The build of ${name} on ${table}, which belongs to this version, is under way.`,
    applied: 'nothing.',
    next: `wait for it, or stop it: {"action": "cancel", "index": "${name}"}; then repair again.`,
  });
}

/** A deploy that failed brought the earlier code back, and with it the earlier file. */
function nothingToAccept({ name }: Migration): MigrationError {
  return new MigrationError({
    code: 'repair-refused',
    what: `${name} is in this code as it was applied: there is no change to accept.`,
    applied: 'nothing.',
    next: 'after a deploy that failed the function has the file of before: accept the new one from the command line, in the folder that has it: npx cdk-postgres-migrations repair VERSION --accept-checksum --confirm; then deploy.',
  });
}

function notRecorded(version: string): MigrationError {
  return new MigrationError({
    code: 'version-not-recorded',
    what: `The ledger has no record of version ${version}.`,
    applied: 'nothing.',
    next: 'look at the action status for the versions that it has.',
  });
}

function unknownVersion(version: string, { migrations }: CompiledMigrations): MigrationError {
  const last = migrations.at(-1);
  return new MigrationError({
    code: 'version-unknown',
    what: `No migration of this code has version ${version}.`,
    applied: 'nothing.',
    next:
      last === undefined
        ? 'the folder is empty.'
        : `name one of its ${migrations.length} versions, ${migrations[0]?.version} to ${last.version}.`,
  });
}
