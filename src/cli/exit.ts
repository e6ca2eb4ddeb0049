/**
 * How every command ends. A mistake of the user's is one line on stderr and exit code 2; a bug keeps its stack and exits with 1; a reader that
 * closes the pipe (`| head`) ends the command without a word, with 141 as for any Unix program.
 * SIGINT is left to the system: it kills at once, even inside a long native call, the shell sees 130, and atomic writes leave nothing half-done.
 * `tandem train` takes the signals for itself. The trap: a handler here would wait for the event loop, and Ctrl-C would do nothing for minutes.
 */
import { UserError } from "../errors.js";

/** Exit codes of the command, besides 0. */
const exitCodes = { bug: 1, userError: 2, brokenPipe: 128 + 13 } as const;

/** Runs a command's body to its end and turns whatever it throws into the line and the code. */
export async function runToExit(name: () => string, body: () => Promise<void>): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", leaveOnBrokenPipe);
  const end = (error: unknown): void => {
    process.stderr.write(failureText(name(), error));
    process.exit(failureCode(error));
  };
  // What escapes a callback ends the same way as what the body throws.
  process.on("uncaughtException", end);
  try {
    await body();
  } catch (error) {
    end(error);
  }
}

/** What is printed for an error: one line for the user's mistakes, the stack with its causes for bugs. */
export function failureText(name: string, error: unknown): string {
  if (error instanceof UserError) return `${name}: ${error.message}\n`;
  return `${name}: this is a bug in Tandem, not in your input\n${stackOf(error)}\n`;
}

export function failureCode(error: unknown): number {
  return error instanceof UserError ? exitCodes.userError : exitCodes.bug;
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.stack ?? String(error);
  return error.cause === undefined ? own : `${own}\ncaused by: ${stackOf(error.cause)}`;
}

function leaveOnBrokenPipe(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE") process.exit(exitCodes.brokenPipe);
  throw error;
}
