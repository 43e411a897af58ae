import { availableParallelism, cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { buildThroughLoop } from './build-through-loop.ts';
import { bundle } from './bundle.ts';
import { commandLine } from './command-line.ts';
import { exitCodeOf, type Figure, figureTable, isAbsent } from './figure.ts';
import { backfills, validations } from './long-work.ts';
import { pendingMigrations } from './pending-migrations.ts';
import { plot } from './plot.ts';
import { stateTransitions } from './state-transitions.ts';
import { writesDuringDeploy } from './writes-during-deploy.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    plot: { type: 'boolean', default: false },
    migrations: { type: 'string', default: '1000' },
    rows: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '5' },
    help: { type: 'boolean', default: false },
  },
});

const say = (line: string): void => console.error(line);
const [count, rows, rounds] = [values.migrations, values.rows, values.rounds].map((text) => {
  const number = Number(text);
  if (Number.isInteger(number) && number > 0) return number;
  throw new Error(`'${text}' is not a whole number above 0`);
}) as [number, number, number];

const BENCHMARKS: Readonly<Record<string, () => Figure[] | Promise<Figure[]>>> = {
  migrations: () => pendingMigrations({ count, rounds, say }),
  build: () => buildThroughLoop({ rows, rounds, say }),
  writes: () => writesDuringDeploy({ rows, say }),
  backfill: () => backfills({ rows, say }),
  validation: () => validations({ rows, rounds, say }),
  bundle,
  'command-line': () => commandLine({ count, rounds, say }),
  transitions: stateTransitions,
};

const unknown = positionals.filter((name) => !(name in BENCHMARKS));
if (values.help || unknown.length > 0) {
  console.log(`npm run bench -- [${Object.keys(BENCHMARKS).join('] [')}]
  --migrations N  pending migrations (1000; the goals are for 1000 and more)
  --rows N        rows of the table whose indexes are built, that is filled, validated (1000000)
  --rounds N      measurements of which the median counts (5)
  --json          one JSON document instead of the table
  --plot          draws what was measured into docs/figures/, as SVG

Peers come from bench/peers: npm ci --prefix bench/peers.
Exit codes: 1 a goal is missed, 3 a peer is not on this machine and was left out.`);
  process.exit(unknown.length > 0 ? 2 : 0);
}

const figures: Figure[] = [];
for (const [name, measure] of Object.entries(BENCHMARKS)) {
  if (positionals.length === 0 || positionals.includes(name)) figures.push(...(await measure()));
}
const machine = `Node ${process.version}, ${availableParallelism()} × ${cpus()[0]?.model ?? 'CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
const code = exitCodeOf(figures);
const absent = figures.filter(isAbsent).map(({ who }) => who);
if (values.plot) for (const file of plot(figures, machine)) say(`drawn: ${file}`);
// JSON has no NaN: the value of a missing peer is null.
if (values.json) console.log(JSON.stringify({ ok: code === 0, machine, absent, figures }));
else console.log(`${machine}\n${figureTable(figures)}`);
if (absent.length > 0) say(`Left out, since they are not on this machine: ${absent.join(', ')}.`);
process.exitCode = code;
