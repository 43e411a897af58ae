import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { onTestFinished } from 'vitest';
import { PostgresMigrations } from '../../infra/postgres-migrations.ts';
import type { PostgresMigrationsProps } from '../../infra/postgres-migrations-props.ts';

/** A folder that goes away with the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'migrations-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A folder with these migrations, by file name. */
export function migrationsFolder(files: Readonly<Record<string, string>> = exampleFiles): string {
  const folder = temporaryFolder();
  for (const [name, sql] of Object.entries(files)) writeFileSync(join(folder, name), sql);
  return folder;
}

export const exampleFiles = {
  '0001_users.sql': 'create table users (id bigint primary key, name text);\n',
  '0002_users_name.sql': 'create index concurrently users_name on users (name);\n',
};

/** A stack with one secret, in an app of its own that leaves nothing behind. */
export function newStack(context: Record<string, unknown> = {}): {
  app: App;
  stack: Stack;
  secret: secretsmanager.ISecret;
} {
  const app = new App({ outdir: temporaryFolder(), context });
  const stack = new Stack(app, 'Stack');
  return { app, stack, secret: asSecret(new secretsmanager.Secret(stack, 'Secret')) };
}

/** The CDK's own types are not made for `exactOptionalPropertyTypes`: a Secret is no ISecret under it. */
export function asSecret(secret: secretsmanager.Secret): secretsmanager.ISecret {
  return secret as secretsmanager.ISecret;
}

/** The template of a stack with one construct. */
export function synthesized(props: Partial<PostgresMigrationsProps> = {}): Template {
  const { stack, secret } = newStack();
  new PostgresMigrations(stack, 'Migrations', {
    migrations: props.migrations ?? migrationsFolder(),
    secret,
    ...props,
  });
  return Template.fromStack(stack);
}

export interface Resource {
  readonly Type: string;
  readonly Properties: Record<string, unknown>;
  readonly DependsOn?: readonly string[];
}

export function resources(template: Template, type: string): Record<string, Resource> {
  return template.findResources(type) as Record<string, Resource>;
}

/** Properties of the custom resource, without the ARN of the provider. */
export function runProperties(template: Template): Record<string, unknown> {
  const [run] = Object.values(resources(template, 'Custom::PostgresMigrations'));
  if (run === undefined) throw new Error('the template has no Custom::PostgresMigrations');
  const { ServiceToken: _, ...properties } = run.Properties;
  return properties;
}
