import * as v from 'valibot';
import type { CompiledMigrations } from '../../lambda/migration/migration.ts';
import { deployAndLoop } from './deploy-and-loop.ts';

const job = v.object({
  url: v.string(),
  migrations: v.custom<CompiledMigrations>((value) => typeof value === 'object'),
});

/** A process that runs a deploy and reports its end: made to be killed. */
process.once('message', (message) => {
  const { url, migrations } = v.parse(job, message);
  deployAndLoop({ url, migrations, patienceSeconds: 5 }).then(
    () => process.exit(0),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    },
  );
});
process.send?.('ready');
