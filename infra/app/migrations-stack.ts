import { Stack, type StackProps } from 'aws-cdk-lib';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { operatorOutputs } from '../operator-outputs.ts';
import { PostgresMigrations } from '../postgres-migrations.ts';
import type { PostgresMigrationsProps } from '../postgres-migrations-props.ts';
import type { SecretReference } from './stack-context.ts';

export interface MigrationsStackProps
  extends StackProps,
    Omit<PostgresMigrationsProps, 'secret' | 'outputs'> {
  /** Name or complete ARN of the secret with the connection. */
  readonly secret: SecretReference;
}

/** The deployable app around the construct: nothing but migrations, for a database that lives elsewhere. */
export class MigrationsStack extends Stack {
  readonly migrations: PostgresMigrations;

  constructor(scope: Construct, id: string, props: MigrationsStackProps) {
    super(scope, id, props);
    const secret =
      props.secret.kind === 'arn'
        ? secretsmanager.Secret.fromSecretCompleteArn(this, 'Secret', props.secret.arn)
        : secretsmanager.Secret.fromSecretNameV2(this, 'Secret', props.secret.name);
    this.migrations = new PostgresMigrations(this, 'Migrations', { ...props, secret, outputs: false });
    // By their bare names: nothing else is in this stack.
    operatorOutputs(this, this.migrations);
  }
}
