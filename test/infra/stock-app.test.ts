import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { whole } from '../support/exhaustive.ts';
import { freshDatabase } from '../support/fresh-database.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { install, tarball } from './packed.ts';

const stack = `import * as cdk from 'aws-cdk-lib/core';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { PostgresMigrations } from 'cdk-postgres-migrations';

export class ShopStack extends cdk.Stack {
  constructor(scope: Construct, id: string, props?: cdk.StackProps) {
    super(scope, id, props);
    new PostgresMigrations(this, 'Migrations', {
      migrations: 'migrations',
      secret: Secret.fromSecretNameV2(this, 'Database', 'shop/database'),
    });
  }
}
`;

const jestTest = `import * as cdk from 'aws-cdk-lib/core';
import { Template } from 'aws-cdk-lib/assertions';
import * as Shop from '../lib/shop-stack';

test('the migrations run with the deploy', () => {
  const stack = new Shop.ShopStack(new cdk.App(), 'MyTestStack');
  Template.fromStack(stack).resourceCountIs('Custom::PostgresMigrations', 1);
});
`;

/** The whole way of somebody who has just heard of this package, in the app that \`cdk init\` gives them. */
it('the stock app of cdk init takes it in: jest, tsc, synth, and the command line on a database', {
  timeout: 900_000,
}, async () => {
  const app = join(temporaryFolder(), 'shop');
  mkdirSync(app);
  const database = await freshDatabase();
  const { NODE_OPTIONS: _options, VITEST: _vitest, NODE_ENV: _test, ...clean } = process.env;
  const env = {
    ...clean,
    CI: '',
    CDK_HOME: join(app, '..'),
    CDK_DISABLE_CLI_TELEMETRY: '1',
    npm_config_offline: 'true',
    DATABASE_URL: database.url,
    NO_COLOR: '1',
  };
  const run = (command: string, ...args: string[]): SpawnSyncReturns<string> =>
    spawnSync(command, args, { cwd: app, env, encoding: 'utf8' });
  const succeeds = (command: string, ...args: string[]): string => {
    const { status, stdout, stderr } = run(command, ...args);
    expect(status, `${command} ${args.join(' ')}\n${stdout}${stderr}`).toBe(0);
    return stdout;
  };
  const cdk = join(import.meta.dirname, '../../node_modules/aws-cdk/bin/cdk');

  succeeds(process.execPath, cdk, 'init', 'app', '--language', 'typescript', '--generate-only');
  install(app, await tarball(), env);
  writeFileSync(join(app, 'lib/shop-stack.ts'), stack);
  writeFileSync(join(app, 'test/shop.test.ts'), jestTest);

  // A migration, its lint, a plan, and up.
  const file = succeeds('npx', 'cdk-postgres-migrations', 'new', 'create_orders').trim();
  const [, name = ''] = /^migrations\/(\d+_create_orders)\.sql$/.exec(file) ?? [];
  expect(name).not.toBe('');
  writeFileSync(
    join(app, file),
    'create table orders (id bigint generated always as identity primary key, placed_at timestamptz not null);\n',
  );
  expect(succeeds('npx', 'cdk-postgres-migrations', 'lint')).toBe('No findings.\n');
  const planned = run('npx', 'pgmig', 'plan');
  expect(planned.status, planned.stderr).toBe(3);
  expect(planned.stdout).toContain(name);
  expect(succeeds('npx', 'pgmig', 'up')).toContain(`applied     ${name}\n`);
  expect(succeeds('npx', 'cdk-postgres-migrations', 'status')).toContain(name);
  expect(await database.query('select * from orders')).toEqual([]);

  // The stack.
  // Its jest compiles the same files once more, and so does tsc: `cdk synth` checks their types too.
  if (whole) {
    succeeds('npm', 'run', 'build');
    expect(run('npm', 'test').stderr).toMatch(/^Tests: +1 passed, 1 total$/m);
  }
  succeeds('npx', 'cdk', 'synth', '--quiet');
  const out = join(app, 'cdk.out');
  const asset = readdirSync(out).find((name) => existsSync(join(out, name, 'migrations.json')));
  const compiled = readFileSync(join(out, String(asset), 'migrations.json'), 'utf8');
  expect(compiled).toContain(`${name}.sql`);
});
