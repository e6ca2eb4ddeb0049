/**
 * The two kinds of failure. A {@link UserError} is a mistake that the user can mend: the command prints its one line and exits with 2.
 * Everything else is a bug of ours and keeps its stack. The trap: never wrap a bug in a UserError, the stack would be lost.
 */

/** The parts of the one line: `where: what; expected X, got Y; do Z`. */
export interface Fault {
  /** File and place, config key or operator: what a reader looks for first. */
  readonly where: string;
  readonly what: string;
  readonly expected?: string;
  readonly got?: string;
  /** The mend: a command or an edit, in the imperative. */
  readonly remedy?: string;
}

/** A mistake of the user's: bad input, bad config, a missing file. One line, exit code 2, no stack. */
export class UserError extends Error {
  override readonly name: string = "UserError";
  readonly fault: Fault;

  constructor(fault: Fault, options?: ErrorOptions) {
    super(faultLine(fault), options);
    this.fault = fault;
  }
}

/** `where: what; expected X, got Y; do Z` on one line, whatever the parts hold. */
function faultLine(fault: Fault): string {
  const compared = [
    fault.expected === undefined ? undefined : `expected ${fault.expected}`,
    fault.got === undefined ? undefined : `got ${fault.got}`,
  ].filter((part) => part !== undefined);
  const parts = [fault.what, compared.join(", "), fault.remedy ?? ""].filter((part) => part !== "");
  return withoutPasswords(`${fault.where}: ${parts.join("; ")}`.replace(/\s*\n\s*/g, " "));
}

/** The text with `***` for the user and password of every address in it: an override or a server's answer that is quoted must not give them away. */
export function withoutPasswords(text: string): string {
  return text.replace(/:\/\/\S*@/g, "://***@");
}
