/** Text that a grammar doesn't read: what was expected, and what may have been meant. Nothing is added to its message, not even that null would do. */
export class GrammarError extends Error {
  /** @param message reads `expected …` */
  constructor(
    message: string,
    readonly remedy?: string,
  ) {
    super(message);
    this.name = "GrammarError";
  }
}
