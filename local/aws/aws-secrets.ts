import { randomUUID } from 'node:crypto';
import * as v from 'valibot';
import { AwsError, epochSeconds, parseRequest } from './aws-error.ts';
import { secretArn } from './local-account.ts';

interface SecretVersion {
  readonly id: string;
  readonly value: string;
  readonly createdAt: number;
}

interface Secret {
  readonly name: string;
  readonly arn: string;
  current: SecretVersion;
  previous: SecretVersion | undefined;
  deleted: boolean;
}

const getSecretValue = v.object({
  SecretId: v.pipe(v.string(), v.minLength(1)),
  VersionId: v.optional(v.string()),
  VersionStage: v.optional(v.string()),
});

/** Secrets Manager's reading calls. */
export class AwsSecrets {
  readonly #secrets = new Map<string, Secret>();

  /** Creates a secret, or rotates it: the value becomes AWSCURRENT, the earlier one AWSPREVIOUS. Returns its ARN. */
  put(name: string, value: string): string {
    const version: SecretVersion = { id: randomUUID(), value, createdAt: Date.now() };
    const secret = this.#secrets.get(name);
    if (secret === undefined || secret.deleted) {
      const arn = secretArn(name);
      this.#secrets.set(name, { name, arn, current: version, previous: undefined, deleted: false });
      return arn;
    }
    secret.previous = secret.current;
    secret.current = version;
    return secret.arn;
  }

  /** Marks a secret for deletion, as DeleteSecret does; with `forget`, removes it. */
  remove(name: string, how: 'mark' | 'forget' = 'forget'): void {
    const secret = this.#secrets.get(name);
    if (how === 'forget') this.#secrets.delete(name);
    else if (secret !== undefined) secret.deleted = true;
  }

  handle(operation: string, input: unknown): object {
    if (operation !== 'GetSecretValue')
      throw new AwsError('UnknownOperationException', `${operation} is not supported here.`);
    const { SecretId, VersionId, VersionStage } = parseRequest(getSecretValue, input);
    const secret = this.#find(SecretId);
    const stage = VersionStage ?? (VersionId === undefined ? 'AWSCURRENT' : undefined);
    const version = [secret.current, secret.previous].find(
      (candidate) =>
        candidate !== undefined &&
        candidate.id === (VersionId ?? candidate.id) &&
        stageOf(secret, candidate) === (stage ?? stageOf(secret, candidate)),
    );
    if (version === undefined) throw notFound('value for the given stage or version.');
    return {
      ARN: secret.arn,
      Name: secret.name,
      VersionId: version.id,
      VersionStages: [stageOf(secret, version)],
      SecretString: version.value,
      CreatedDate: epochSeconds(version.createdAt),
    };
  }

  /** Finds by name, by ARN, or by ARN without its last six characters. */
  #find(id: string): Secret {
    const secret = [...this.#secrets.values()].find(
      ({ name, arn }) => id === name || id === arn || id === arn.slice(0, -'-LoCaL1'.length),
    );
    if (secret === undefined) throw notFound('secret.');
    if (!secret.deleted) return secret;
    throw new AwsError(
      'InvalidRequestException',
      "You can't perform this operation on the secret because it was marked for deletion.",
    );
  }
}

function stageOf(secret: Secret, version: SecretVersion): 'AWSCURRENT' | 'AWSPREVIOUS' {
  return version === secret.current ? 'AWSCURRENT' : 'AWSPREVIOUS';
}

function notFound(what: string): AwsError {
  return new AwsError('ResourceNotFoundException', `Secrets Manager can't find the specified ${what}`);
}
