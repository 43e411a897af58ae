import { join } from 'node:path';
import { build } from 'esbuild';

export interface NodeBundle {
  /** Files that went into it, relative to the package: what licences ask for. */
  readonly inputs: readonly string[];
}

/** ES modules have no `require`, which bundled CommonJS packages call for Node's own modules. */
export const requireForBundles =
  "import{createRequire as bundleRequire}from'node:module';const require=bundleRequire(import.meta.url);";

/**
 * The construct in one CommonJS file: `require` and `import` give the same classes, and a jest that knows CommonJS
 * only can load it. Its peers and the parser stay outside.
 */
export async function bundleConstruct(root: string, outfile: string): Promise<NodeBundle> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [join('infra', 'index.ts')],
    outfile,
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    keepNames: true,
    external: ['aws-cdk-lib', 'constructs', 'libpg-query', 'esbuild'],
    // CommonJS has no import.meta.
    define: { 'import.meta.url': 'bundleUrl' },
    banner: { js: "const bundleUrl=require('node:url').pathToFileURL(__filename).href;" },
    legalComments: 'none',
    metafile: true,
    logLevel: 'error',
  });
  return { inputs: Object.keys(metafile.inputs).sort() };
}

/** The command line in one file, which needs nothing but the parser. What a verb does not use is not even run. */
export async function bundleCommandLine(root: string, outfile: string): Promise<NodeBundle> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [join('local', 'cli', 'main.ts')],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    minify: true,
    // An error's name is its class's name, and people read it.
    keepNames: true,
    external: ['libpg-query', 'pg-native'],
    banner: { js: requireForBundles },
    legalComments: 'none',
    metafile: true,
    logLevel: 'error',
  });
  return { inputs: Object.keys(metafile.inputs).sort() };
}
