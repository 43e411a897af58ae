import { App } from 'aws-cdk-lib';
import { MigrationsStack } from '../../infra/app/migrations-stack.ts';
import { SECRET_NAME, type SynthesisOrder } from './assembly.ts';

/** The program of `synthesize`: the deployable stack, as `cdk synth` writes it. */
const { syntheses, temporary } = JSON.parse(process.argv[2] ?? '') as SynthesisOrder;
// Set here and not by the parent: the loader, which has started by now, keeps what it has compiled where it was.
process.env.TMPDIR = temporary;
process.env.CDK_HOME = temporary;
// The CDK's own check of the template takes three seconds; `cdk synth` makes it.
process.env.CDK_VALIDATION = 'false';
for (const { migrations, outdir, maxConcurrentTables } of syntheses) {
  const app = new App({ outdir, analyticsReporting: false });
  new MigrationsStack(app, 'PostgresMigrations', {
    migrations,
    secret: { kind: 'name', name: SECRET_NAME },
    maxConcurrentTables,
  });
  app.synth();
}
process.disconnect();
