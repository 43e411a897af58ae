import { parseArgs } from 'node:util';
import { runMatrix } from './run-matrix.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '1500' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    parallel: { type: 'string', default: '6' },
    verbose: { type: 'boolean', default: false },
  },
});

/** `npm run test:faults`: injects faults, prints those that were not survived, and how many there were. */
const begun = Date.now();
let tried = 0;
const result = await runMatrix({
  count: Number(values.count),
  seed: Number(values.seed),
  only: values.only,
  parallel: Number(values.parallel),
  report: (fault, outcome, milliseconds) => {
    tried += 1;
    if (values.verbose) console.log(`${outcome.kind} ${fault} ${milliseconds} ms`);
    if (outcome.kind === 'broken')
      console.log(`BROKEN ${fault}\n  ${outcome.because.replaceAll('\n', '\n  ')}`);
    else if (!values.verbose && tried % 50 === 0) console.log(`${tried} of ${values.count}`);
  },
});
const seconds = Math.round((Date.now() - begun) / 1000);
const percent = result.tried === 0 ? 0 : (100 * result.survived) / result.tried;
console.log(
  `${result.tried} faults tried, ${result.survived} survived (${percent.toFixed(percent === 100 ? 0 : 1)} %), seed ${values.seed}, ${result.notMet} whose moment did not come, ${result.all} known, ${seconds} s`,
);
if (result.broken.length > 0) {
  console.log(`Again: npm run test:faults -- --only '${result.broken[0]?.fault}'`);
}
process.exit(result.broken.length === 0 && result.tried > 0 ? 0 : 1);
