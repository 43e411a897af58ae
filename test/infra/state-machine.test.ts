import validate from 'asl-validator';
import { describe, expect, it } from 'vitest';
import { CloudFormationTemplate } from '../../local/aws/cloudformation-template.ts';
import { synthesized } from './synthesized.ts';

describe("the stack's state machines", () => {
  const template = () => new CloudFormationTemplate(synthesized().toJSON());

  it('pass asl-validator, the loop and the one of the Provider alike', () => {
    const machines = template().resourcesOf('AWS::StepFunctions::StateMachine');
    expect(machines.map(({ logicalId }) => logicalId.replace(/[0-9A-F]{8}$/, ''))).toEqual([
      expect.stringContaining('IndexBuildLoopStateMachine'),
      expect.stringContaining('waiterstatemachine'),
    ]);
    for (const { logicalId, properties } of machines) {
      const { isValid, errors } = validate(JSON.parse(String(properties.DefinitionString)));
      expect({ logicalId, isValid, errors }).toEqual({ logicalId, isValid: true, errors: [] });
    }
  });
});
