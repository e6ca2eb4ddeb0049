/**
 * The processes that `tandem launch` starts on this machine: their environment, as torchrun sets it, their output, their ends. It knows no command and reads no config. The first process has the terminal as it is; what the others print
 * is tagged by their rank. The traps: one that failed leaves the others waiting for it, so they are ended after a while that is long enough for those who notice by themselves to say so; and the pipes of a
 * process may be held open by what it started, so its end counts, not that of its output.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { handOnDemand, LAUNCH_ID, listenOnFreePort } from "./handed-server.js";
import type { Environment } from "./launch-variables.js";
import { tagLines } from "./tagged-lines.js";

/** Milliseconds that the others have once one has failed. */
const GRACE = 20_000;
/** Milliseconds for the last lines of a process that has ended. */
const LAST_LINES = 500;

export interface LaunchOptions {
  readonly size: number;
  /** Of Node: the file and its words. */
  readonly words: readonly string[];
  readonly environment: Environment;
  /** Exit codes that are no failure. */
  readonly inOrder: readonly number[];
  /** Given each process as it is started. */
  readonly onStart: (child: ChildProcess) => void;
  readonly grace?: number;
}

/** How a launch ended: as its first process did, unless one failed. */
export interface LaunchEnd {
  readonly rank: number;
  readonly pid: number | undefined;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What it printed last, where that went through here: not the first process's. */
  readonly lastLine: string | undefined;
}

interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<LaunchEnd>;
}

/** Starts the processes and waits until all have ended. */
export async function launchProcesses(options: LaunchOptions): Promise<LaunchEnd> {
  const { server, port } = await listenOnFreePort();
  const all = Array.from({ length: options.size }, (_, rank) => start(rank, port, options));
  const killAll = (): void => {
    for (const { child } of all) child.kill("SIGKILL");
  };
  const [first] = all;
  if (first === undefined) throw new Error("a launch of no processes");
  handOnDemand(first.child, server);
  const isFailure = ({ code }: LaunchEnd): boolean => code === null || !options.inOrder.includes(code);
  try {
    const ends = Promise.all(all.map(({ ended }) => ended));
    const failure = await Promise.race([ends.then(() => undefined), ...all.map(({ ended }) => whenFailed(ended, isFailure))]);
    if (failure === undefined) return await first.ended;
    const timer = setTimeout(killAll, options.grace ?? GRACE);
    await ends;
    clearTimeout(timer);
    return failure;
  } finally {
    killAll();
    server.close();
  }
}

/** Pending for ever where the end is in order. */
async function whenFailed(ended: Promise<LaunchEnd>, isFailure: (end: LaunchEnd) => boolean): Promise<LaunchEnd> {
  const end = await ended;
  return isFailure(end) ? end : new Promise(() => undefined);
}

function start(rank: number, port: number, { size, words, environment, onStart }: LaunchOptions): Started {
  const child = spawn(process.execPath, words, {
    stdio: rank === 0 ? ["inherit", "inherit", "inherit", "ipc"] : ["ignore", "pipe", "pipe", "ipc"],
    env: launchedEnvironment(environment, { rank, size, port }),
  });
  let lastLine: string | undefined;
  if (rank !== 0) tagLines(child, `rank ${rank}`, (line) => (lastLine = line));
  const ended = new Promise<LaunchEnd>((resolve, reject) => {
    child.on("error", (error) => {
      // What else can't be done with a process that is there: its end says more.
      if (child.pid === undefined) reject(error);
    });
    child.once("exit", (code, signal) => {
      const tell = (): void => resolve({ rank, pid: child.pid, code, signal, lastLine });
      child.once("close", tell);
      setTimeout(tell, LAST_LINES);
    });
  });
  onStart(child);
  return { child, ended };
}

/** This environment with a place in the job, and without what other launchers would say of it. */
function launchedEnvironment(
  environment: Environment,
  { rank, size, port }: { readonly rank: number; readonly size: number; readonly port: number },
): Record<string, string | undefined> {
  const own = Object.fromEntries(Object.entries(environment).filter(([name]) => !/^(TORCHELASTIC_|GROUP_|ROLE_)|^TANDEM_PORT$/.test(name)));
  return {
    ...own,
    RANK: String(rank),
    WORLD_SIZE: String(size),
    LOCAL_RANK: String(rank),
    LOCAL_WORLD_SIZE: String(size),
    MASTER_ADDR: "127.0.0.1",
    MASTER_PORT: String(port),
    [LAUNCH_ID]: `launch-${process.pid}`,
  };
}
