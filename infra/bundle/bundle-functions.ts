import { createRequire } from 'node:module';
import { join } from 'node:path';
import type * as Esbuild from 'esbuild';

/** The Lambda entries, without extension: `migrate` is `lambda/migrate.ts` here and `migrate.mjs` in the bundle. */
export const functionEntries = ['migrate', 'index-build', 'preflight'] as const;

export interface BundledFile {
  readonly file: string;
  readonly bytes: number;
  /** Loaded when the entry starts, as opposed to a driver that waits for its first connection. */
  readonly atStart: boolean;
}

export interface FunctionBundle {
  readonly files: readonly BundledFile[];
  /** Files that went into the bundle, relative to the package: what licences and tests ask for. */
  readonly inputs: readonly string[];
  /** Modules that are imported and not in the bundle. */
  readonly external: readonly string[];
}

/**
 * Bundles the entries under `root/lambda` into `outdir` as ESM for nodejs24.x. Drivers that are imported
 * dynamically become chunks of their own, so that a function loads only the one that its database needs.
 *
 * esbuild is required here and not imported: users of the npm package get the bundle ready-made and don't have it.
 */
export function bundleFunctions(root: string, outdir: string): FunctionBundle {
  const esbuild = createRequire(import.meta.url)('esbuild') as typeof Esbuild;
  const { metafile } = esbuild.buildSync({
    // Paths stay relative to it, so that the same sources give the same bytes on every machine.
    absWorkingDir: root,
    entryPoints: functionEntries.map((entry) => ({ in: join('lambda', `${entry}.ts`), out: entry })),
    outdir,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'chunk-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    minify: true,
    // The runtime carries the SDK; pg-native, and what makes ws faster, are optional and not used.
    external: ['@aws-sdk/*', 'pg-native', 'bufferutil', 'utf-8-validate'],
    alias: { semver: './infra/bundle/semver-gte.ts', ws: './infra/bundle/ws-client.ts' },
    // pg is CommonJS and requires Node's own modules.
    banner: {
      js: "import{createRequire as bundleRequire}from'node:module';const require=bundleRequire(import.meta.url);",
    },
    legalComments: 'none',
    metafile: true,
    logLevel: 'silent',
  });
  return {
    files: bundledFiles(metafile),
    inputs: Object.keys(metafile.inputs).sort(),
    external: external(metafile),
  };
}

function bundledFiles({ outputs }: Esbuild.Metafile): BundledFile[] {
  const atStart = new Set<string>();
  const reach = (file: string): void => {
    if (atStart.has(file)) return;
    atStart.add(file);
    for (const { path, kind } of outputs[file]?.imports ?? []) {
      if (kind === 'import-statement' && path in outputs) reach(path);
    }
  };
  for (const [file, { entryPoint }] of Object.entries(outputs)) {
    if (
      entryPoint?.startsWith('lambda/') &&
      functionEntries.some((entry) => file.endsWith(`/${entry}.mjs`))
    ) {
      reach(file);
    }
  }
  return Object.entries(outputs)
    .map(([file, { bytes }]) => ({
      file: file.slice(file.lastIndexOf('/') + 1),
      bytes,
      atStart: atStart.has(file),
    }))
    .sort((a, b) => a.file.localeCompare(b.file));
}

function external({ outputs }: Esbuild.Metafile): string[] {
  const imports = Object.values(outputs).flatMap((output) => output.imports);
  return [...new Set(imports.flatMap((imported) => (imported.external ? [imported.path] : [])))].sort();
}
