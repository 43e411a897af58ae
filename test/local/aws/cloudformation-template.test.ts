import { describe, expect, it } from 'vitest';
import { CloudFormationTemplate } from '../../../local/aws/cloudformation-template.ts';

const template = new CloudFormationTemplate({
  Parameters: { Stage: { Type: 'String', Default: 'test' } },
  Mappings: { Sizes: { test: { memory: 256 } } },
  Resources: {
    Worker: { Type: 'AWS::Lambda::Function', Properties: { Environment: { Ref: 'Database' } } },
    Loop: { Type: 'AWS::StepFunctions::StateMachine' },
    Database: { Type: 'AWS::SecretsManager::Secret' },
    Role: { Type: 'AWS::IAM::Role' },
  },
});

/** As CloudFormation writes a reference within text. */
const $ = (name: string): string => `\${${name}}`;

describe('a template, as if it were deployed here', () => {
  it.each<[string, unknown, unknown]>([
    ['Ref of a function is its name', { Ref: 'Worker' }, 'Worker'],
    [
      'Ref of a state machine is its ARN',
      { Ref: 'Loop' },
      'arn:aws:states:us-east-1:123456789012:stateMachine:Loop',
    ],
    ['Ref of a parameter is its default', { Ref: 'Stage' }, 'test'],
    [
      'GetAtt Arn',
      { 'Fn::GetAtt': ['Worker', 'Arn'] },
      'arn:aws:lambda:us-east-1:123456789012:function:Worker',
    ],
    ['GetAtt as text', { 'Fn::GetAtt': 'Role.RoleId' }, 'Role.RoleId'],
    ['Join', { 'Fn::Join': ['/', ['a', { Ref: 'AWS::Region' }, { Ref: 'Stage' }]] }, 'a/us-east-1/test'],
    [
      'Sub',
      { 'Fn::Sub': `${$('Worker.Arn')}:${$('AWS::Partition')}:${$('!Literal')}` },
      `arn:aws:lambda:us-east-1:123456789012:function:Worker:aws:${$('Literal')}`,
    ],
    [
      'Sub with names of its own',
      { 'Fn::Sub': [`${$('x')}-${$('Stage')}`, { x: { Ref: 'Worker' } }] },
      'Worker-test',
    ],
    ['Select and Split', { 'Fn::Select': [1, { 'Fn::Split': ['/', 'a/b'] }] }, 'b'],
    ['FindInMap', { 'Fn::FindInMap': ['Sizes', { Ref: 'Stage' }, 'memory'] }, 256],
    ['NoValue goes', [1, { Ref: 'AWS::NoValue' }], [1]],
  ])('%s', (_, value, resolved) => {
    expect(template.resolve(value)).toEqual(resolved);
  });

  it('gives resources of a type with what they refer to', () => {
    expect(template.resourcesOf('AWS::Lambda::Function')).toEqual([
      {
        logicalId: 'Worker',
        type: 'AWS::Lambda::Function',
        properties: { Environment: 'arn:aws:secretsmanager:us-east-1:123456789012:secret:Database-LoCaL1' },
      },
    ]);
  });

  it('says what it can’t resolve', () => {
    expect(() => template.resolve({ Ref: 'Absent' })).toThrow('it refers to Absent, which it does not have');
    expect(() => template.resolve({ 'Fn::Cidr': [] })).toThrow('Fn::Cidr is not resolved locally');
    expect(() => new CloudFormationTemplate('text')).toThrow('it is no CloudFormation template');
  });
});
