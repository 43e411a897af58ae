import type { Signer } from '@aws-sdk/rds-signer';
import { MigrationError } from '../migration/migration-error.ts';
import type { ConnectionTarget } from '../postgres/session/connection-target.ts';

/** Whose credentials sign the token, and for which region; the SDK finds out what is absent. */
export interface SigningAccount {
  readonly region?: string | undefined;
  readonly profile?: string | undefined;
}

/**
 * The same database by RDS IAM authentication: a token is signed for each connection, since it is good for 15 minutes
 * only. Signing asks nobody; but for credentials that are not at hand, the SDK may.
 */
export function withIamToken(target: ConnectionTarget, account: SigningAccount): ConnectionTarget {
  // Anybody who has the token can connect with it: it is sent only to the database itself.
  if (target.tls.kind !== 'verified')
    throw unusable('asks for no TLS with a checked certificate', 'write sslmode=verify-full into it');
  if (target.password !== undefined)
    throw unusable('has a password, which is not used', 'take the password out of it');
  let signer: Signer | undefined;
  return {
    ...target,
    token: async () => {
      try {
        signer ??= await newSigner(target, account);
        return await signer.getAuthToken();
      } catch (cause) {
        throw new MigrationError({
          code: 'iam-token',
          what: `No token can be signed for user '${target.user}' at ${target.host}:${target.port}: ${cause instanceof Error ? cause.message : String(cause)}`,
          applied: 'nothing by this connection.',
          next: 'give AWS credentials and a region (the environment, or --profile and --region on the command line); then run again.',
          cause,
        });
      }
    },
  };
}

/** Loaded only here: it costs nothing with a secret. */
async function newSigner({ host, port, user }: ConnectionTarget, { region, profile }: SigningAccount) {
  const { Signer } = await import('@aws-sdk/rds-signer');
  return new Signer({
    hostname: host,
    port,
    username: user,
    ...(region !== undefined && { region }),
    ...(profile !== undefined && { profile }),
  });
}

function unusable(problem: string, fix: string): MigrationError {
  return new MigrationError({
    code: 'connection-invalid',
    what: `The connection can't be used with IAM authentication: it ${problem}.`,
    next: `${fix}, or connect without IAM authentication.`,
  });
}
