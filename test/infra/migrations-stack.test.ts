import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import { MigrationsStack } from '../../infra/app/migrations-stack.ts';
import { stackContext } from '../../infra/app/stack-context.ts';
import { PostgresMigrations } from '../../infra/postgres-migrations.ts';
import { cdkSynth, synthesized } from './cdk-synth.ts';
import { migrationsFolder, newStack, temporaryFolder } from './synthesized.ts';

describe('cdk synth', () => {
  it('takes secret, stack name, folder and options from the context', () => {
    const migrations = migrationsFolder({ '1_a.sql': 'create table a (id int);' });
    const arn = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:neon-AbCdEf';
    const context = {
      stackName: 'Neon',
      secretArn: arn,
      migrations,
      waitFor: 'index-builds',
      smallTableRows: 500,
    };
    const args = Object.entries(context).flatMap(([name, value]) => ['-c', `${name}=${value}`]);

    const written = JSON.stringify(synthesized(cdkSynth(args), 'Neon'));

    expect(written).toContain(`"DATABASE_SECRET_ARN":"${arn}"`);
    expect(written).toContain('"WaitFor":"index-builds"');
    expect(written).toContain('"SmallTableRows":500');
  }, 60_000);
});

describe('the context', () => {
  const read = (given: Record<string, unknown>, env: NodeJS.ProcessEnv = {}) =>
    stackContext((name) => given[name], env);

  it('has a default for everything', () => {
    expect(read({})).toEqual({
      stackName: 'PostgresMigrations',
      migrations: 'migrations',
      secret: { kind: 'name', name: 'postgres-migrations/database' },
      options: {},
    });
  });

  it('takes the secret’s name from the environment where the context names none', () => {
    const env = { DATABASE_SECRET_NAME: 'from-environment' };

    expect(read({}, env).secret).toEqual({ kind: 'name', name: 'from-environment' });
    expect(read({ secretName: 'from-context' }, env).secret).toEqual({ kind: 'name', name: 'from-context' });
  });

  it('reads numbers from texts, as -c gives them', () => {
    const { options } = read({ smallTableRows: '500', lockTimeoutSeconds: '0.5', maxAttempts: 7 });

    expect(options).toMatchObject({ smallTableRows: 500, maxAttempts: 7 });
    expect(options.lockTimeout?.toMilliseconds()).toBe(500);
  });

  it.each([
    [
      { secretArn: 'arn', secretName: 'name' },
      'both secretArn and secretName are given\nNext: keep one of -c secretArn=… and -c secretName=…',
    ],
    [
      { smallTableRows: 'many' },
      'context smallTableRows is "many", but must be a number\nNext: give -c smallTableRows=… another value, or leave it out',
    ],
    [
      { stackName: '' },
      'context stackName is "", but must be a text that is not empty\nNext: give -c stackName=… another value, or leave it out',
    ],
  ])('refuses %o', (given, message) => {
    expect(() => read(given)).toThrow(message);
  });
});

describe('the stack', () => {
  it('tells how to invoke the migrator and where to look', () => {
    const stack = new MigrationsStack(new App({ outdir: temporaryFolder() }), 'Stack', {
      migrations: migrationsFolder(),
      secret: { kind: 'name', name: 'database' },
    });

    const { Outputs } = Template.fromStack(stack).toJSON();
    const text = (id: string): string => joined(Outputs[id].Value);
    expect(Object.keys(Outputs)).toEqual([
      'MigratorFunction',
      'Up',
      'Status',
      'Plan',
      'Retry',
      'RunCommand',
      'StatusCommand',
      'PlanCommand',
      'RetryCommand',
      'Dashboard',
      'MigratorConsole',
      'IndexBuildLoopConsole',
    ]);
    expect(text('RunCommand')).toMatch(
      /^aws lambda invoke --region {AWS::Region} --function-name {\w*Migrator\w*} .*--payload '{}' \/dev\/stdout$/,
    );
    expect(text('Up')).toMatch(
      /^npx cdk-postgres-migrations up --function {\w*Migrator\w*} --region {AWS::Region}$/,
    );
    expect(text('IndexBuildLoopConsole')).toMatch(
      /\/statemachines\/view\/{\w*IndexBuildLoopStateMachine\w*}$/,
    );
  });
});

describe('the construct in a stack of yours', () => {
  const outputsOf = (props: { outputs?: boolean }): string[] => {
    const { stack, secret } = newStack();
    new PostgresMigrations(stack, 'Migrations', { migrations: migrationsFolder(), secret, ...props });
    return Object.keys(Template.fromStack(stack).toJSON().Outputs ?? {});
  };

  it('adds the same outputs to it, named after itself, unless it is told not to', () => {
    expect(outputsOf({}).map((id) => id.replace(/[0-9A-F]{8}$/, ''))).toEqual([
      'MigrationsMigratorFunction',
      'MigrationsUp',
      'MigrationsStatus',
      'MigrationsPlan',
      'MigrationsRetry',
      'MigrationsRunCommand',
      'MigrationsStatusCommand',
      'MigrationsPlanCommand',
      'MigrationsRetryCommand',
      'MigrationsDashboard',
      'MigrationsMigratorConsole',
      'MigrationsIndexBuildLoopConsole',
    ]);
    expect(outputsOf({ outputs: false })).toEqual([]);
  });
});

/** A Fn::Join as text, references in braces. */
function joined(value: { 'Fn::Join': [string, (string | { Ref: string })[]] }): string {
  const [separator, parts] = value['Fn::Join'];
  return parts.map((part) => (typeof part === 'string' ? part : `{${part.Ref}}`)).join(separator);
}
