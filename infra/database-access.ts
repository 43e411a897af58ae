import { Tokenization } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as iam from 'aws-cdk-lib/aws-iam';
import * as rds from 'aws-cdk-lib/aws-rds';
import type * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { Construct, type IConstruct } from 'constructs';
import { environment } from '../lambda/environment.ts';
import { InvalidProp } from './invalid-prop.ts';

/**
 * A cluster or an instance of aws-rds: anything with a network and, since it made its own user, a secret; or, for IAM
 * authentication, with an address and a right to connect.
 */
export interface ConnectableDatabase extends IConstruct, ec2.IConnectable {
  readonly secret?: secretsmanager.ISecret | undefined;
  readonly clusterEndpoint?: DatabaseEndpoint | undefined;
  readonly instanceEndpoint?: DatabaseEndpoint | undefined;
  grantConnect?(grantee: iam.IGrantable, databaseUser: string): iam.Grant;
}

/** Its port may be a token. */
export interface DatabaseEndpoint {
  readonly hostname: string;
  readonly port: number;
}

/** How the functions authenticate: by a secret with a password, or by their own role. */
export type Authentication = 'secret' | 'iam';

/** Tells a function where to connect, and gives it access. */
export interface Credentials {
  readonly environment: Readonly<Record<string, string>>;
  /** Properties of the custom resource: if one of them changes, the migrations run. */
  readonly properties: Readonly<Record<string, string>>;
  grantTo(role: iam.IRole): void;
}

export interface DatabaseAccessProps {
  readonly database?: ConnectableDatabase | undefined;
  readonly secret?: secretsmanager.ISecret | undefined;
  readonly authentication?: Authentication | undefined;
  readonly databaseUser?: string | undefined;
  readonly databaseName?: string | undefined;
  readonly vpc?: ec2.IVpc | undefined;
  readonly vpcSubnets?: ec2.SubnetSelection | undefined;
  readonly securityGroups?: readonly ec2.ISecurityGroup[] | undefined;
}

/** The functions' place in the network; absent for a database that is reached over the internet. */
export interface FunctionNetwork {
  readonly vpc: ec2.IVpc;
  readonly vpcSubnets: ec2.SubnetSelection | undefined;
  readonly securityGroups: ec2.ISecurityGroup[];
}

/** How the functions reach the database: authentication and network. */
export class DatabaseAccess extends Construct implements ec2.IConnectable {
  readonly credentials: Credentials;
  readonly network: FunctionNetwork | undefined;
  readonly connections: ec2.Connections;
  /**
   * What gives the functions access to the database, wherever it is in the tree: nothing can connect before it exists.
   */
  readonly rules: readonly IConstruct[];

  constructor(scope: Construct, id: string, props: DatabaseAccessProps) {
    super(scope, id);
    const { database, vpc, vpcSubnets } = props;
    this.credentials =
      props.authentication === 'iam'
        ? iamCredentials(scope.node.path, props)
        : secretCredentials(secretOf(scope.node.path, props));
    if (vpc === undefined) {
      refuseWithoutVpc(scope.node.path, props);
      this.network = undefined;
      this.connections = new ec2.Connections();
      this.rules = [];
      return;
    }
    const securityGroups =
      props.securityGroups === undefined
        ? [
            new ec2.SecurityGroup(this, 'SecurityGroup', {
              vpc,
              description: `Migrations (${scope.node.path})`,
            }),
          ]
        : [...props.securityGroups];
    this.network = { vpc, vpcSubnets, securityGroups };
    this.connections = new ec2.Connections({ securityGroups });
    const before = new Set(securityGroupRules(this));
    database?.connections.allowDefaultPortFrom(this, `Migrations (${scope.node.path})`);
    this.rules = securityGroupRules(this).filter((rule) => !before.has(rule));
  }
}

/** Those that are resources of their own; the others come with their group. */
function securityGroupRules(scope: Construct): IConstruct[] {
  return scope.node.root.node
    .findAll()
    .filter(
      (construct) =>
        construct instanceof ec2.CfnSecurityGroupIngress || construct instanceof ec2.CfnSecurityGroupEgress,
    );
}

function secretCredentials(secret: secretsmanager.ISecret): Credentials {
  return {
    environment: { [environment.secretArn]: secret.secretFullArn ?? secret.secretArn },
    properties: { Secret: secret.secretArn },
    grantTo: (role) => void secret.grantRead(role),
  };
}

const DEFAULT_DATABASE = 'postgres';

function iamCredentials(path: string, props: DatabaseAccessProps): Credentials {
  const { database, secret, databaseUser, databaseName = DEFAULT_DATABASE } = props;
  const refuse = (prop: string, value: string, expected: string) =>
    new InvalidProp(path, { prop, value, expected });
  if (secret !== undefined)
    throw refuse('secret', 'given', "absent with `authentication: 'iam'`, which needs none");
  if (database === undefined) throw refuse('database', 'absent', "given with `authentication: 'iam'`");
  if (databaseUser === undefined || databaseUser === '')
    throw refuse(
      'databaseUser',
      databaseUser ?? 'absent',
      "the user to connect as, given with `authentication: 'iam'`: one that has been granted rds_iam",
    );
  const endpoint = database.clusterEndpoint ?? database.instanceEndpoint;
  if (endpoint === undefined || database.grantConnect === undefined || hasIamOff(database))
    throw refuse(
      'database',
      database.node.path,
      'a cluster or an instance of aws-rds with `iamAuthentication: true`',
    );
  const address = `${endpoint.hostname}:${Tokenization.stringifyNumber(endpoint.port)}`;
  return {
    environment: {
      [environment.databaseHost]: endpoint.hostname,
      [environment.databasePort]: Tokenization.stringifyNumber(endpoint.port),
      [environment.databaseName]: databaseName,
      [environment.databaseUser]: databaseUser,
    },
    properties: { Database: `${databaseUser}@${address}/${databaseName}` },
    grantTo: (role) => void database.grantConnect?.(role, databaseUser),
  };
}

/** A cluster needs it at creation; for an instance the grant turns it on; for an imported one it is unknown. */
function hasIamOff({ node }: ConnectableDatabase): boolean {
  return (
    node.defaultChild instanceof rds.CfnDBCluster &&
    node.defaultChild.enableIamDatabaseAuthentication !== true
  );
}

function secretOf(path: string, props: DatabaseAccessProps): secretsmanager.ISecret {
  const { secret, database } = props;
  for (const prop of ['databaseUser', 'databaseName'] as const) {
    if (props[prop] === undefined) continue;
    const expected = "absent without `authentication: 'iam'`: the secret has it";
    throw new InvalidProp(path, { prop, value: props[prop], expected });
  }
  const found = secret ?? database?.secret;
  if (found !== undefined) return found;
  throw new InvalidProp(path, {
    prop: database === undefined ? 'secret' : 'database.secret',
    value: 'absent',
    expected:
      database === undefined
        ? 'given, unless `database` is'
        : 'there: give `secret` yourself for a database that was imported or has no generated user',
  });
}

function refuseWithoutVpc(path: string, { database, vpcSubnets, securityGroups }: DatabaseAccessProps): void {
  const needing = [
    ['database', database],
    ['vpcSubnets', vpcSubnets],
    ['securityGroups', securityGroups],
  ].find(([, value]) => value !== undefined);
  if (needing === undefined) return;
  throw new InvalidProp(path, {
    prop: 'vpc',
    value: 'absent',
    expected: `given, since \`${String(needing[0])}\` is: the functions must be in a network that reaches it`,
  });
}
