import { App } from 'aws-cdk-lib';
import { MigrationsStack } from './migrations-stack.ts';
import { stackContext } from './stack-context.ts';

const app = new App();
const { stackName, migrations, secret, options } = stackContext(
  (name) => app.node.tryGetContext(name),
  process.env,
);
new MigrationsStack(app, stackName, { migrations, secret, ...options });
