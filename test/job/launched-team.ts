/**
 * `tandem train`, or another command, as the tasks of one job, each started with the variables that a launcher sets. Not a test: used by those of training in a team. The trap: a task that isn't ended keeps the others, so whatever becomes of a test
 * all its tasks are killed, and so are the workers of those that were killed by the test.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { afterEach } from "vitest";
import { freePort } from "../distributed/free-port.js";
import type { CompiledTraining } from "./compiled-training.js";
import type { Finished } from "./killed-run.js";

export interface Task {
  readonly process: ChildProcess;
  readonly ended: Promise<Finished>;
}

const started: ChildProcess[] = [];

afterEach(() => {
  for (const child of started) {
    const worker = workerPid(child);
    // A stopped process doesn't die of anything else.
    for (const pid of [child.exitCode === null && child.signalCode === null ? child.pid : undefined, worker])
      if (pid !== undefined) tryKill(pid);
  }
  started.length = 0;
});

interface Launch {
  readonly size?: number;
  readonly env?: (rank: number) => Readonly<Record<string, string>>;
  /** The command that starts this one elsewhere, in the same process. */
  readonly on?: (rank: number, command: readonly string[]) => readonly string[];
  readonly verb?: string;
}

/** The tasks of one job; `words` may differ from rank to rank. */
export async function launchTeam(
  training: Pick<CompiledTraining, "tandem" | "root">,
  words: (rank: number) => readonly string[],
  { size = 2, env = () => ({}), on = (_, command) => command, verb = "train" }: Launch = {},
): Promise<Task[]> {
  const port = String(await freePort());
  return Array.from({ length: size }, (_, rank) => {
    const [command = "", ...rest] = on(rank, [training.tandem, verb, ...words(rank)]);
    const child = spawn(command, rest, {
      cwd: training.root,
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...withoutLauncher(), ...launched(rank, size, port), ...env(rank) },
    });
    started.push(child);
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const ended = new Promise<Finished>((resolve) => child.once("close", (code, signal) => resolve({ code, signal, stderr })));
    return { process: child, ended };
  });
}

function launched(rank: number, size: number, port: string): Record<string, string> {
  return {
    RANK: String(rank),
    WORLD_SIZE: String(size),
    LOCAL_RANK: String(rank),
    LOCAL_WORLD_SIZE: String(size),
    MASTER_ADDR: "127.0.0.1",
    MASTER_PORT: port,
    OMP_NUM_THREADS: "1",
  };
}

/** This environment, as it would be outside of a batch job. */
export function withoutLauncher(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(SLURM|TORCHELASTIC|OMPI|PMI)_/.test(name)));
}

/** The worker process of a task, whatever its command is, while it has one. */
export function workerPid({ pid }: ChildProcess): number | undefined {
  const children = spawnSync("pgrep", ["-P", String(pid)], { encoding: "utf8" })
    .stdout.split("\n")
    .filter((line) => line !== "");
  return children.map(Number).find((child) => /[/-]worker\.[jt]s\0/.test(commandOf(child)));
}

/** The worker of this rank that trains a run, whoever started it. */
export function workerOfRank(run: string, rank: number): number | undefined {
  const lines = spawnSync("pgrep", ["-af", "job/worker\\."], { encoding: "utf8" }).stdout.split("\n");
  const line = lines.find((one) => one.includes(run) && one.includes(`"rank":${rank},`));
  return line === undefined ? undefined : Number(line.split(" ")[0]);
}

/** Whether the process is there, and not only its entry in the table. */
export function isAlive(pid: number): boolean {
  return commandOf(pid) !== "";
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    return;
  }
}
