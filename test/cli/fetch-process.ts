/** `tandem` with words, as a process of its own beside the test's server. Not a test: used by those that fetch. */
import { spawn, type ChildProcess } from "node:child_process";

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly error: string;
}

export interface Started {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
}

/** Starts a command. Nothing of it is left to a shell. */
export function startProcess(command: string, words: readonly string[], options: { env: Record<string, string>; cwd: string }): Started {
  const child = spawn(command, words, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  let [out, error] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (error += chunk.toString()));
  const ended = new Promise<Ended>((resolve) => child.once("close", (code, signal) => resolve({ code, signal, out, error })));
  return { process: child, ended };
}
