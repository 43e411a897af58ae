/** How a verb ended, for scripts. `docs/command-line.md` explains them to people. */
export const exitCode = {
  /** Done, and for `up` and `status`: every migration is applied, every build has ended and succeeded. */
  done: 0,
  /** It failed, or something in the database needs a person. */
  failed: 1,
  /** The command itself was wrong; nothing was touched. */
  usage: 2,
  /** Nothing is wrong, and something is left to do: steps or builds are pending or under way. */
  unfinished: 3,
  /** Ctrl-C. */
  interrupted: 130,
  /** SIGTERM. */
  terminated: 143,
} as const;

export type ExitCode = (typeof exitCode)[keyof typeof exitCode];
