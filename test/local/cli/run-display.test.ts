import { expect, it, onTestFinished, vi } from 'vitest';
import { RunDisplay } from '../../../local/cli/run-display.ts';
import { Terminal } from '../../../local/cli/terminal.ts';

it('a space stands between what happened and the rest, however long the word', () => {
  vi.stubEnv('NO_COLOR', '1');
  onTestFinished(() => void vi.unstubAllEnvs());
  const written = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  onTestFinished(() => written.mockRestore());
  const display = new RunDisplay(new Terminal({ json: false }));
  display.report({ kind: 'reconnecting', because: 'the connection to Postgres was lost' });
  display.report({ kind: 'ledger-exposed', because: 'app can write it' });
  expect(written.mock.calls.map(([line]) => line)).toEqual([
    'reconnecting the connection to Postgres was lost\n',
    'exposed     app can write it\n',
  ]);
});
