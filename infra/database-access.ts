import * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { Construct, type IConstruct } from 'constructs';
import { InvalidProp } from './invalid-prop.ts';

/** A cluster or an instance of aws-rds: anything with a network and, since it made its own user, a secret. */
export interface ConnectableDatabase extends IConstruct, ec2.IConnectable {
  readonly secret?: secretsmanager.ISecret | undefined;
}

export interface DatabaseAccessProps {
  readonly database?: ConnectableDatabase | undefined;
  readonly secret?: secretsmanager.ISecret | undefined;
  readonly vpc?: ec2.IVpc | undefined;
  readonly vpcSubnets?: ec2.SubnetSelection | undefined;
  readonly securityGroups?: readonly ec2.ISecurityGroup[] | undefined;
}

/** Where the functions stand in the network; absent for a database that is reached over the internet. */
export interface FunctionNetwork {
  readonly vpc: ec2.IVpc;
  readonly vpcSubnets: ec2.SubnetSelection | undefined;
  readonly securityGroups: ec2.ISecurityGroup[];
}

/** How the functions get to the database: its secret, and the network between. */
export class DatabaseAccess extends Construct implements ec2.IConnectable {
  readonly secret: secretsmanager.ISecret;
  readonly network: FunctionNetwork | undefined;
  readonly connections: ec2.Connections;
  /** What lets the functions in to the database, wherever it stands in the tree: nothing is reached before it is there. */
  readonly rules: readonly IConstruct[];

  constructor(scope: Construct, id: string, props: DatabaseAccessProps) {
    super(scope, id);
    const { database, vpc, vpcSubnets } = props;
    this.secret = secretOf(scope.node.path, props);
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

function secretOf(path: string, { secret, database }: DatabaseAccessProps): secretsmanager.ISecret {
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
    expected: `given, since \`${String(needing[0])}\` is: the functions have to stand in a network to reach it`,
  });
}
