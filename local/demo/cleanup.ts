/** What was started, and how it ends: last begun, first ended. */
export class Cleanup {
  readonly #ends: (() => Promise<unknown>)[] = [];

  /**
   * Waits for something that is being started, and takes it over at once: should everything be stopped meanwhile, it
   * is still awaited, and ended.
   */
  async own<T>(starting: Promise<T>, end: (started: T) => unknown): Promise<T> {
    this.#ends.push(async () => {
      const started = await starting.then(
        (value) => ({ value }),
        () => undefined,
      );
      if (started !== undefined) await end(started.value);
    });
    return starting;
  }

  /** Ends everything, also where one of the ends fails; then throws the first failure. */
  async run(): Promise<void> {
    const failures: unknown[] = [];
    for (let end = this.#ends.pop(); end !== undefined; end = this.#ends.pop()) {
      await end().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }
}
