import { createRequire } from 'node:module';
import { spawn } from '@lydell/node-pty';
import type { Terminal } from '@xterm/headless';
import { onTestFinished } from 'vitest';

// The package is CommonJS whose exports Node can't tell beforehand.
const { Terminal: HeadlessTerminal } = createRequire(import.meta.url)('@xterm/headless') as {
  Terminal: typeof Terminal;
};

/** A program on a terminal, and what a person sees there. */
export interface OnTerminal {
  /** Everything that stands there, what has scrolled away included. */
  lines(): string[];
  /** The bytes that made it, colours and all. */
  readonly raw: () => string;
  readonly exited: Promise<number>;
}

const COLUMNS = 100;

export interface TerminalOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Runs a program on a pseudo-terminal whose output a terminal emulator draws. */
export function onTerminal(
  program: string,
  args: readonly string[],
  { cwd = process.cwd(), env = process.env }: TerminalOptions = {},
): OnTerminal {
  const screen = new HeadlessTerminal({
    cols: COLUMNS,
    rows: 30,
    scrollback: 1000,
    allowProposedApi: true,
  });
  const { FORCE_COLOR: _force, NO_COLOR: _no, CI: _ci, ...rest } = env;
  const child = spawn(program, [...args], {
    cols: COLUMNS,
    rows: 30,
    cwd,
    env: { ...rest, TERM: 'xterm-256color' },
  });
  let raw = '';
  let drawn: Promise<void> = Promise.resolve();
  child.onData((data) => {
    raw += data;
    drawn = new Promise((resolve) => screen.write(data, resolve));
  });
  let over = false;
  const exited = new Promise<number>((resolve) => {
    child.onExit(async ({ exitCode }) => {
      over = true;
      await drawn;
      resolve(exitCode);
    });
  });
  onTestFinished(async () => {
    if (!over) child.kill('SIGTERM');
    await exited;
  });
  return {
    lines: () => {
      const { active } = screen.buffer;
      const lines: string[] = [];
      for (let at = 0; at < active.length; at++) {
        const line = active.getLine(at);
        const text = line?.translateToString(true) ?? '';
        // A line that the terminal wrapped is one line.
        if (line?.isWrapped === true) lines.push(`${lines.pop() ?? ''}${text}`);
        else lines.push(text);
      }
      while (lines.at(-1) === '') lines.pop();
      return lines;
    },
    raw: () => raw,
    exited,
  };
}
