import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { DISABLE_ASSET_STAGING_CONTEXT } from 'aws-cdk-lib/cx-api';
import type { IConstruct } from 'constructs';
import { COMPILED_MIGRATIONS_FILE } from '../lambda/environment.ts';
import type { CompiledMigrations } from '../lambda/migration/migration.ts';
import { bundleFunctions } from './bundle-functions.ts';

/** The directory above infra/: the checkout, or dist/ in the npm package. */
const home = fileURLToPath(new URL('..', import.meta.url));

/** Where `npm run build` puts the functions' code, relative to dist/. */
export const PREBUILT_BUNDLE = 'bundle';

/** Name of the `rootCertificate` prop's file beside the code. */
export const ROOT_CERTIFICATE_FILE = 'root-certificate.pem';

/**
 * The code of all functions of one construct: their bundle and, beside it, the compiled migrations. The asset's
 * hash is over the content alone, so the same code and migrations give the same template everywhere.
 */
export function lambdaBundle(
  scope: IConstruct,
  migrations: CompiledMigrations,
  rootCertificate: string | undefined,
): lambda.Code {
  // Staging copies it to cdk.out when the first function is made; without staging, tools read it after synth.
  const staged = !scope.node.tryGetContext(DISABLE_ASSET_STAGING_CONTEXT);
  const directory = staged ? passingDirectory() : newDirectory();
  cpSync(functionCode(), directory, { recursive: true });
  writeFileSync(join(directory, COMPILED_MIGRATIONS_FILE), `${JSON.stringify(migrations)}\n`);
  if (rootCertificate !== undefined) cpSync(rootCertificate, join(directory, ROOT_CERTIFICATE_FILE));
  return lambda.Code.fromAsset(directory);
}

let builtCode: string | undefined;

/** A directory with the bundle: ready-made in the npm package, built once per process in a checkout. */
function functionCode(): string {
  const prebuilt = join(home, PREBUILT_BUNDLE);
  if (existsSync(prebuilt)) return prebuilt;
  if (builtCode === undefined) {
    const directory = passingDirectory();
    bundleFunctions(home, directory);
    builtCode = directory;
  }
  return builtCode;
}

const passing = new Set<string>();

/** A temporary directory that goes when the process does. */
function passingDirectory(): string {
  if (passing.size === 0) {
    process.once('exit', () => {
      for (const directory of passing) rmSync(directory, { recursive: true, force: true });
    });
  }
  const directory = newDirectory();
  passing.add(directory);
  return directory;
}

function newDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'postgres-migrations-'));
}
