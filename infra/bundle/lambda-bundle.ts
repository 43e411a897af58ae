import { randomUUID } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Stage } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { DISABLE_ASSET_STAGING_CONTEXT } from 'aws-cdk-lib/cx-api';
import type { Construct, IConstruct } from 'constructs';
import { COMPILED_MIGRATIONS_FILE } from '../../lambda/environment.ts';
import type { CompiledMigrations } from '../../lambda/migration/migration.ts';
import { bundleFunctions } from './bundle-functions.ts';

/** Where `npm run build` puts the functions' code: in the npm package it is beside this code's own file. */
export const PREBUILT_BUNDLE = 'bundle';
const prebuilt = fileURLToPath(new URL(PREBUILT_BUNDLE, import.meta.url));
const checkout = fileURLToPath(new URL('../..', import.meta.url));

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
  return new BundledCode(scope, (directory) => {
    for (const [file, content] of functionCode()) writeFileSync(join(directory, file), content);
    writeFileSync(join(directory, COMPILED_MIGRATIONS_FILE), `${JSON.stringify(migrations)}\n`);
    if (rootCertificate !== undefined) cpSync(rootCertificate, join(directory, ROOT_CERTIFICATE_FILE));
  });
}

/** Code that is written when the first function is made, which copies it to cdk.out, and removed right after that. */
class BundledCode extends lambda.AssetCode {
  readonly #write: (directory: string) => void;
  readonly #staged: boolean;
  #bound = false;

  constructor(scope: IConstruct, write: (directory: string) => void) {
    const staged = !scope.node.tryGetContext(DISABLE_ASSET_STAGING_CONTEXT);
    // Without staging, tools read it after synth: then it has to be where it can stay.
    const parent = staged ? tmpdir() : (Stage.of(scope)?.outdir ?? tmpdir());
    super(join(parent, `postgres-migrations-${randomUUID()}`));
    this.#write = write;
    this.#staged = staged;
  }

  override bind(scope: Construct): lambda.CodeConfig {
    if (this.#bound) return super.bind(scope);
    mkdirSync(this.path, { mode: 0o700 });
    try {
      this.#write(this.path);
      const config = super.bind(scope);
      this.#bound = true;
      return config;
    } finally {
      if (this.#staged) rmSync(this.path, { recursive: true, force: true });
    }
  }
}

let code: ReadonlyMap<string, Uint8Array> | undefined;

/** The bundle's files, read once per process: ready-made in the npm package, built in a checkout. */
function functionCode(): ReadonlyMap<string, Uint8Array> {
  code ??= existsSync(prebuilt) ? filesIn(prebuilt) : builtCode();
  return code;
}

function builtCode(): ReadonlyMap<string, Uint8Array> {
  const directory = mkdtempSync(join(tmpdir(), 'postgres-migrations-'));
  try {
    bundleFunctions(checkout, directory);
    return filesIn(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function filesIn(directory: string): ReadonlyMap<string, Uint8Array> {
  return new Map(readdirSync(directory).map((file) => [file, readFileSync(join(directory, file))]));
}
