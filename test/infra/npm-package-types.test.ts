import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { appBody, esmApp, freshApp, link, nodeModules, tarball } from './packed.ts';

it('the npm package has types that a strict TypeScript app can check, node16 and bundler alike', async () => {
  const app = freshApp(await tarball());
  link(app, '@types/node');
  writeFileSync(join(app, 'app.mts'), esmApp + appBody('migrations'));
  writeFileSync(join(app, 'common.cts'), esmApp + appBody('migrations'));
  writeFileSync(
    join(app, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        strict: true,
        noEmit: true,
        target: 'es2022',
        types: ['node'],
        skipLibCheck: true,
      },
      files: ['app.mts', 'common.cts'],
    }),
  );
  const tsc = join(nodeModules, 'typescript/bin/tsc');

  for (const [module, moduleResolution] of [
    ['node16', 'node16'],
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ]) {
    const args = ['-p', app, '--module', String(module), '--moduleResolution', String(moduleResolution)];
    expect(() => execFileSync(process.execPath, [tsc, ...args], { stdio: 'pipe' })).not.toThrow();
  }
}, 300_000);
