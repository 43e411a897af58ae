import * as v from 'valibot';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import type { DescribedStack } from './aws-cloudformation.ts';
import { functionArn, localAccount, localArn, secretArn, stateMachineArn } from './local-account.ts';

const templateSchema = v.looseObject({
  Parameters: v.optional(v.record(v.string(), v.looseObject({ Default: v.optional(v.unknown()) })), {}),
  Conditions: v.optional(v.record(v.string(), v.unknown()), {}),
  Mappings: v.optional(v.record(v.string(), v.record(v.string(), v.record(v.string(), v.unknown()))), {}),
  Outputs: v.optional(v.record(v.string(), v.looseObject({ Value: v.unknown() })), {}),
  Resources: v.record(
    v.string(),
    v.looseObject({ Type: v.string(), Properties: v.optional(v.record(v.string(), v.unknown()), {}) }),
  ),
});
type Template = v.InferOutput<typeof templateSchema>;

export interface LocalResource {
  readonly logicalId: string;
  readonly type: string;
  /** With all references resolved. */
  readonly properties: Readonly<Record<string, unknown>>;
}

/**
 * A synthesized template as if it were deployed in the local account: each resource is named by its logical id, and
 * every reference resolves to a local name or ARN.
 */
export class CloudFormationTemplate {
  readonly #template: Template;

  /** @throws MigrationError if it is not a template */
  constructor(template: unknown) {
    const parsed = v.safeParse(templateSchema, template);
    if (!parsed.success) throw unusable(`it is no CloudFormation template: ${parsed.issues[0].message}`);
    this.#template = parsed.output;
  }

  resourcesOf(type: string): LocalResource[] {
    return Object.entries(this.#template.Resources)
      .filter(([, resource]) => resource.Type === type)
      .map(([logicalId, { Properties }]) => ({
        logicalId,
        type,
        properties: this.resolve(Properties) as Record<string, unknown>,
      }));
  }

  /** The stack as `aws cloudformation describe-stacks` and list-stack-resources show it. */
  described(): DescribedStack {
    const outputs = Object.entries(this.#template.Outputs).map(([key, { Value }]) => [
      key,
      String(this.resolve(Value)),
    ]);
    const resources = Object.entries(this.#template.Resources).map(([logicalId, { Type: type }]) => ({
      logicalId,
      type,
      physicalId: logicalId,
    }));
    return { outputs: Object.fromEntries(outputs), resources };
  }

  /** The ARN that references to the resource resolve to. */
  arnOf(logicalId: string): string {
    const resource = this.#template.Resources[logicalId];
    if (resource === undefined) throw unusable(`it has no resource ${logicalId}`);
    const makeArn = ARNS[resource.Type] ?? ((name: string) => localArn(serviceOf(resource.Type), name));
    return makeArn(logicalId);
  }

  /** Any part of the template, with all references in it resolved. */
  resolve(value: unknown): unknown {
    if (Array.isArray(value)) {
      return value.map((item) => this.resolve(item)).filter((item) => item !== undefined);
    }
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value);
    const [first] = entries;
    if (first !== undefined && entries.length === 1) {
      const [name, parameter] = first;
      if (name === 'Ref') return this.#ref(String(parameter));
      if (name.startsWith('Fn::')) return this.#function(name, parameter);
    }
    return Object.fromEntries(entries.map(([key, item]) => [key, this.resolve(item)]));
  }

  #ref(name: string): unknown {
    if (name in PSEUDO_PARAMETERS) return PSEUDO_PARAMETERS[name];
    const parameter = this.#template.Parameters[name];
    if (parameter !== undefined) return parameter.Default;
    const type = this.#template.Resources[name]?.Type;
    if (type === undefined) throw unusable(`it refers to ${name}, which it does not have`);
    return REF_IS_ARN.has(type) ? this.arnOf(name) : name;
  }

  #function(name: string, parameter: unknown): unknown {
    switch (name) {
      case 'Fn::Join': {
        const [separator, parts] = parseParameter(v.tuple([v.string(), v.unknown()]), parameter);
        return parseParameter(v.array(v.unknown()), this.resolve(parts)).map(String).join(separator);
      }
      case 'Fn::Sub':
        return this.#substitute(parameter);
      case 'Fn::GetAtt': {
        const [logicalId, attribute] = parseParameter(
          v.tuple([v.string(), v.string()]),
          typeof parameter === 'string' ? parameter.split('.', 2) : parameter,
        );
        return attribute === 'Arn' ? this.arnOf(logicalId) : `${logicalId}.${attribute}`;
      }
      case 'Fn::Select': {
        const [index, list] = parseParameter(v.tuple([v.unknown(), v.unknown()]), parameter);
        return parseParameter(v.array(v.unknown()), this.resolve(list))[Number(this.resolve(index))];
      }
      case 'Fn::Split': {
        const [separator, text] = parseParameter(v.tuple([v.string(), v.unknown()]), parameter);
        return String(this.resolve(text)).split(separator);
      }
      case 'Fn::FindInMap': {
        const [map, first, second] = parseParameter(v.array(v.unknown()), this.resolve(parameter)).map(
          String,
        );
        return this.#template.Mappings[map ?? '']?.[first ?? '']?.[second ?? ''];
      }
      case 'Fn::Base64':
        return Buffer.from(String(this.resolve(parameter))).toString('base64');
      case 'Fn::GetAZs':
        return [`${localAccount.region}a`, `${localAccount.region}b`];
      default:
        throw unusable(`${name} is not resolved locally`);
    }
  }

  /** `${A}` is a Ref, `${A.B}` a GetAtt, `${!A}` stays as `${A}`. */
  #substitute(parameter: unknown): string {
    const [text, own] =
      typeof parameter === 'string'
        ? [parameter, {}]
        : parseParameter(v.tuple([v.string(), v.record(v.string(), v.unknown())]), parameter);
    return text.replace(/\$\{(!?)([^}]+)\}/g, (_, literal: string, name: string) => {
      if (literal !== '') return `\${${name}}`;
      if (name in own) return String(this.resolve(own[name]));
      return String(name.includes('.') ? this.#function('Fn::GetAtt', name) : this.#ref(name));
    });
  }
}

const PSEUDO_PARAMETERS: Readonly<Record<string, unknown>> = {
  'AWS::Partition': localAccount.partition,
  'AWS::Region': localAccount.region,
  'AWS::AccountId': localAccount.account,
  'AWS::URLSuffix': localAccount.urlSuffix,
  'AWS::StackName': 'local',
  'AWS::StackId': localArn('cloudformation', 'stack/local/00000000-0000-4000-8000-000000000000'),
  'AWS::NoValue': undefined,
  'AWS::NotificationARNs': [],
};

const ARNS: Readonly<Record<string, (name: string) => string>> = {
  'AWS::Lambda::Function': functionArn,
  'AWS::StepFunctions::StateMachine': stateMachineArn,
  'AWS::SecretsManager::Secret': secretArn,
};

const REF_IS_ARN = new Set([
  'AWS::StepFunctions::StateMachine',
  'AWS::SecretsManager::Secret',
  'AWS::SNS::Topic',
  'AWS::Lambda::Version',
  'AWS::Lambda::Alias',
]);

/** `AWS::IAM::Role` → `iam` */
function serviceOf(type: string): string {
  return (type.split('::')[1] ?? 'unknown').toLowerCase();
}

function parseParameter<const Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
): v.InferOutput<Schema> {
  const parsed = v.safeParse(schema, value);
  if (parsed.success) return parsed.output;
  throw unusable(`a function in it has unexpected parameters: ${JSON.stringify(value)}`);
}

function unusable(why: string): MigrationError {
  return new MigrationError({
    code: 'template-unusable',
    what: `The template can't be used locally: ${why}.`,
    next: 'synthesize it again with cdk synth; if it says the same, local/aws/cloudformation-template.ts has to learn it.',
  });
}
