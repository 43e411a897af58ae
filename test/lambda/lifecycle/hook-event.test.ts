import { describe, expect, it } from 'vitest';
import { parseHookEvent } from '../../../lambda/aws/hook-event.ts';
import { MigrationError } from '../../../lambda/migration/migration-error.ts';

describe("a hook's event", () => {
  const event = {
    awsAccountId: '123456789012',
    actionInvocationPoint: 'UPDATE_PRE_PROVISION',
    requestData: { targetName: 'STACK', targetType: 'STACK', payload: 'https://s3/template' },
    requestContext: { invocation: 1, callbackContext: null },
  };
  const understood = {
    clientRequestToken: 'token',
    awsAccountId: '123456789012',
    actionInvocationPoint: 'UPDATE_PRE_PROVISION',
    requestData: { payload: 'https://s3/template' },
  };

  it.each([
    ['its example', 'clientRequestToken'],
    ['its syntax', 'clientRequesttoken'],
  ])('is understood with the token spelled as the guide spells it in %s', (_, token) => {
    expect(parseHookEvent({ ...event, [token]: 'token' })).toEqual(understood);
  });

  it('that is none is refused with what was expected and where to go', () => {
    const refusal = (() => {
      try {
        return parseHookEvent({ action: 'status' });
      } catch (error) {
        return error;
      }
    })();
    expect(refusal).toBeInstanceOf(MigrationError);
    expect((refusal as MigrationError).message).toMatch(
      /^This is not an event of a CloudFormation Lambda Hook: .*clientRequestToken.*\nApplied: nothing\.\nNext: let the hook call this function; operators send the action plan to the migrator function instead\.$/,
    );
  });
});
