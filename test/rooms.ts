/** A room is a folder with all below it, less the rooms that are named below it. */
interface Room {
  /** What a reader finds there. */
  readonly holds: string;
  /** The rooms, and single files, that its code may import; `types of …`: nothing but types. */
  readonly imports: readonly string[];
}

const PURE = ['lambda/work', 'lambda/migration'];
const BELOW_RUN = ['lambda/postgres', ...PURE];

/**
 * The rooms of the house, lowest first, and the arrows between them. `(entries)` are the files that stand in lambda/
 * itself; `lambda/postgres` in a list of imports stands for all rooms of that folder.
 */
export const rooms: Readonly<Record<string, Room>> = {
  'lambda/environment.ts': {
    holds:
      'the names of environment variables and of the compiled migrations, shared by infra and the functions',
    imports: [],
  },
  'lambda/migration': {
    holds: 'pure: migration, step, plan, the ledger as a value, routes, waits, options, errors',
    imports: [],
  },
  'lambda/work': {
    holds:
      "pure: a build, what is seen of it, the decision of a turn, waiting times, the loop's tasks and answers",
    imports: ['lambda/migration'],
  },
  'lambda/postgres/session': {
    holds: 'a connection: target, driver, TLS, faults, quoting, limits of statements',
    imports: ['lambda/migration', 'lambda/environment.ts'],
  },
  'lambda/postgres/ledger': {
    holds: "our tables in the user's database: runs, steps, builds, locks",
    imports: ['lambda/postgres/session', ...PURE],
  },
  'lambda/postgres/catalog': {
    holds: "questions to Postgres's catalog: tables, indexes, builders, blockers, partitions, data",
    imports: ['lambda/postgres/session', ...PURE],
  },
  'lambda/postgres/build-session': {
    holds: 'sessions in which a build outlives its client: loopback, orphan, attached; the probe',
    imports: ['lambda/postgres/catalog', 'lambda/postgres/session', ...PURE],
  },
  'lambda/history': {
    holds: "other tools' history tables: read, adopted, mirrored",
    imports: ['lambda/postgres', 'lambda/migration'],
  },
  'lambda/foresight': {
    holds: 'what is told before anything is touched: plan, preflight, lint at deploy, facts about tables',
    imports: ['lambda/history', ...BELOW_RUN],
  },
  'lambda/work/turn': {
    holds: 'one turn of the loop: observe, decide, start, watch, attach, settle',
    imports: BELOW_RUN,
  },
  'lambda/run': {
    holds: 'one run: read, plan, apply in batches and alone, locks, hand-off, resume, earlier code',
    imports: ['lambda/history', 'lambda/foresight', ...BELOW_RUN],
  },
  'lambda/actions': {
    holds: "the operator's actions, a record each, and how one is performed",
    imports: ['lambda/history', 'lambda/run', 'lambda/foresight', 'lambda/work/turn', ...BELOW_RUN],
  },
  'lambda/status': {
    holds: 'the ledger as people see it; how far a deploy is',
    imports: ['lambda/history', 'lambda/actions', 'lambda/run', 'lambda/work/turn', ...BELOW_RUN],
  },
  'lambda/loop': {
    holds: 'one branch of the loop: the turns of its tables side by side, and what comes of their builds',
    imports: ['lambda/run', 'lambda/work/turn', ...BELOW_RUN],
  },
  'lambda/aws': {
    holds: 'secret, hand-off, CloudFormation request, hook, log, metrics, events, traces',
    imports: [
      'lambda/environment.ts',
      'lambda/postgres/session',
      'lambda/migration',
      'types of lambda/run',
      'types of lambda/status',
      'types of lambda/work/turn',
    ],
  },
  'lambda/(entries)': {
    holds: 'the functions: migrator and isComplete, a task of the loop, preflight',
    imports: ['lambda'],
  },
  'compiler/syntax': {
    holds: 'the parser, source text and positions, faults of syntax, directives, names',
    imports: ['lambda/migration'],
  },
  'compiler/touches': {
    holds: 'what a statement touches, and the settings that it leaves',
    imports: ['compiler/syntax', 'lambda/migration'],
  },
  'compiler/schema': {
    holds: 'the schema as the folder makes it: tables, columns, types, constraints, indexes',
    imports: ['compiler/syntax', 'lambda/migration'],
  },
  'compiler/locks': {
    holds: 'the locks that a statement takes, and the work that it does under them',
    imports: ['compiler/schema', 'compiler/syntax', 'lambda/migration'],
  },
  'compiler/layout': {
    holds: 'folders as other tools lay them out: which files, their order, names and parts',
    imports: ['compiler/syntax', 'lambda/migration'],
  },
  'compiler/steps': {
    holds: 'a folder becomes migrations, a file becomes steps',
    imports: [
      'compiler/layout',
      'compiler/locks',
      'compiler/schema',
      'compiler/touches',
      'compiler/syntax',
      'lambda/migration',
    ],
  },
  'compiler/lint': {
    holds: 'the rules of the linter, and how a finding is shown',
    imports: [
      'compiler/steps',
      'compiler/locks',
      'compiler/schema',
      'compiler/syntax',
      'lambda/migration',
      'lambda/postgres/session/quote.ts',
    ],
  },
  infra: {
    holds: 'the construct and its parts',
    imports: [
      'compiler',
      'infra/app',
      'infra/bundle',
      'lambda/environment.ts',
      'lambda/aws/metric-names.ts',
      ...PURE,
    ],
  },
  'infra/app': { holds: "the example's app and stack", imports: ['infra', 'lambda/migration'] },
  'infra/bundle': {
    holds: "the functions' bundle, and the npm package",
    imports: ['lambda/environment.ts', 'types of lambda/migration'],
  },
  'local/aws': {
    holds: 'a local endpoint for the AWS services that are used, by their real protocols',
    imports: ['lambda/migration'],
  },
  'local/postgres': {
    holds: 'embedded servers, and databases as careful teams run them',
    imports: ['lambda/migration', 'lambda/postgres/session/quote.ts'],
  },
  'local/step-functions': {
    holds: "runs the template's own state machine, in real or simulated time",
    imports: ['local/aws', 'lambda/migration'],
  },
  'local/cloudformation': {
    holds: "the Provider framework's own code, driven as CloudFormation drives it",
    imports: ['local/step-functions', 'local/aws', 'lambda/migration'],
  },
  'local/wire': {
    holds: 'proxies: one that cancels as Neon does, one that cuts at any message',
    imports: ['local/aws', 'lambda/migration'],
  },
  'local/cli': { holds: 'the command line', imports: ['compiler', 'lambda'] },
  'local/faults': {
    holds: 'fault injection',
    imports: ['local/wire', 'local/postgres', 'local/cli', 'compiler', 'lambda'],
  },
  'local/peers': {
    holds: 'other tools of npm, whose histories are handed over to us',
    imports: ['local/postgres', 'compiler', 'lambda'],
  },
  'local/versions': {
    holds: 'the tests on other PostgreSQL versions',
    imports: ['local/postgres', 'lambda/migration'],
  },
  'local/demo': { holds: '`npm start`', imports: ['local', 'infra/app', 'compiler', 'lambda'] },
  bench: { holds: 'benchmarks', imports: ['local', 'infra', 'infra/bundle', 'compiler', 'lambda'] },
  test: {
    holds: 'tests, laid out as the code is',
    imports: ['bench', 'local', 'infra', 'infra/app', 'infra/bundle', 'compiler', 'lambda'],
  },
};

/** The rooms as docs/architecture.md shows them. */
export function roomsTable(): string {
  const cell = (name: string): string => {
    const types = name.startsWith('types of ');
    return types ? `types of \`${name.slice('types of '.length)}\`` : `\`${name}\``;
  };
  const rows = Object.entries(rooms).map(
    ([room, { holds, imports }]) =>
      `| \`${room}\` | ${holds} | ${imports.length === 0 ? 'nothing' : imports.map(cell).join(', ')} |`,
  );
  return ['| room | holds | may import |', '|---|---|---|', ...rows, ''].join('\n');
}
