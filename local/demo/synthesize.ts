import { App } from 'aws-cdk-lib';
import { MigrationsStack } from '../../infra/migrations-stack.ts';
import { SECRET_NAME, type Synthesis } from './assembly.ts';

/** The program of `synthesize`: the deployable stack, as `cdk synth` writes it. */
const { migrations, outdir, maxConcurrentTables } = JSON.parse(process.argv[2] ?? '') as Synthesis;
const app = new App({ outdir, analyticsReporting: false });
new MigrationsStack(app, 'PostgresMigrations', {
  migrations,
  secret: { kind: 'name', name: SECRET_NAME },
  maxConcurrentTables,
});
app.synth();
process.disconnect();
