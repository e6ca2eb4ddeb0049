/**
 * The worker processes that one driver starts: their orders, their messages, their ends. It never blocks and never trains. The first worker of a run speaks for all; the others' lines on stdout and stderr carry their rank.
 * The traps. A worker that waits in a collective for one that is gone waits for ever, so the end of one is the end of all. A stopped process ends nothing, so each gives a sign of life, from a thread of its own; silence is counted in this
 * process's own ticks, because one that was stopped itself must not accuse the others.
 */
import { fork, type ChildProcess } from "node:child_process";
import os from "node:os";
import path from "node:path";
import type { Readable } from "node:stream";
import { tagLines } from "../distributed/tagged-lines.js";
import { workerEnvironment } from "../distributed/worker-environment.js";
import type { Fault } from "../errors.js";
import { EXIT } from "./exit-codes.js";
import type { JobMessage } from "./reporter.js";
import { PULSE_DESCRIPTOR, PULSE_EVERY, type FromWorker, type ToWorker, type WorkerOrder, type WorkerPlace } from "./worker-order.js";

/** Milliseconds without a sign of life after which a worker among several is taken for lost. */
const SILENCE = 30_000;
/** Milliseconds that the other workers have to leave once the first is gone. */
const GRACE = 10_000;
/** Milliseconds that the others have to say what they failed of, when one has: often all fail of the same, and the first is to write it down. */
const LAST_WORDS = 3_000;
/** Milliseconds within which a killed process is gone, unless the system holds it. */
const DEATH = 10_000;

/** What workers run beside training: a file, and what it is told with its place. */
export interface WorkerProgram {
  readonly file: string;
  readonly order: object;
}

export interface WorkersOptions {
  readonly run: string;
  /** Default: training. */
  readonly program?: WorkerProgram | undefined;
  readonly profile: boolean;
  /** One a worker to start, by rank. */
  readonly places: readonly WorkerPlace[];
  readonly onMessage: (message: JobMessage) => void;
  /** Given each worker as it is started. */
  readonly onStart: (worker: ChildProcess) => void;
  /** Told of each worker that signals don't end it any more, and that it has met all others. */
  readonly onCome?: ((how: "listening" | "joined") => void) | undefined;
  /** Told the steps that a worker has ended. */
  readonly onStep?: ((step: number) => void) | undefined;
  /** Where the first worker's store listens, if that is another driver's. */
  readonly storePort?: Promise<number> | undefined;
  /** Told where the first worker's store listens, if it is among these. */
  readonly onStore?: ((port: number) => void) | undefined;
  /** Aborted when another driver's worker failed: all are ended. */
  readonly abort?: AbortSignal | undefined;
  readonly silence?: number;
}

/** How the workers ended: how the first of them did, unless another one failed before it. */
export interface WorkersEnd {
  readonly rank: number;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly fault: Fault | undefined;
  /** `worker 1 of 2 (process 31 on n1)`. */
  readonly name: string;
  readonly pid: number | undefined;
  /** Whether it was given up because it gave no sign of life. */
  readonly isSilent: boolean;
  /** Whether it had the run directory. */
  readonly hadRun: boolean;
  readonly lastStep: number | undefined;
}

interface Running {
  readonly place: WorkerPlace;
  readonly child: ChildProcess;
  /** Own ticks since the last sign of life; undefined before the first. */
  ticks: number | undefined;
  isSilent: boolean;
  /** What it said that it failed of. */
  fault: Fault | undefined;
  /** How it ended, once it has. */
  end: WorkersEnd | undefined;
}

/** The worker's file beside this one: compiled when this is compiled. */
function workerFile(): string {
  return path.join(import.meta.dirname, `worker${path.extname(import.meta.filename)}`);
}

/** Starts the workers and waits until all of them have ended. Where several failed, the first worker's own failure is told before another's. */
export async function runWorkers(options: WorkersOptions): Promise<WorkersEnd> {
  const said: Said = { hadRun: false, lastStep: undefined };
  const workers = options.places.map((place) => started(place, options));
  for (const worker of workers) listen(worker, workers, options, said);
  const killAll = (): void => {
    for (const { child, end } of workers) if (end === undefined) child.kill("SIGKILL");
  };
  options.abort?.addEventListener("abort", killAll);
  if (options.abort?.aborted === true) killAll();
  const watch = workers.some(({ place }) => place.size > 1)
    ? setInterval(() => giveUpSilent(workers, options.silence ?? SILENCE), PULSE_EVERY)
    : undefined;
  try {
    const first = await new Promise<WorkersEnd>((resolve, reject) => {
      const isFirstElsewhere = workers.every(({ place }) => place.rank !== 0);
      for (const worker of workers) whenEnded(worker, isFirstElsewhere, said, resolve, reject);
    });
    await allGone(workers, isOrderly(first) ? GRACE : first.signal === null ? LAST_WORDS : 0);
    return ownFailure(workers) ?? first;
  } finally {
    clearInterval(watch);
    options.abort?.removeEventListener("abort", killAll);
    killAll();
    await allGone(workers, DEATH);
  }
}

/** What the first worker said. */
interface Said {
  hadRun: boolean;
  lastStep: number | undefined;
}

function started(place: WorkerPlace, { run, profile, program, onStart }: WorkersOptions): Running {
  const training: WorkerOrder = { run, profile, place };
  const { file, order } =
    program === undefined ? { file: workerFile(), order: training } : { ...program, order: { ...program.order, place } };
  const output = place.rank === 0 ? "inherit" : "pipe";
  const child = fork(file, [JSON.stringify(order)], {
    env: workerEnvironment(),
    stdio: ["ignore", output, output, "ipc", "pipe"],
  });
  // It may be killed between two messages.
  child.on("error", () => undefined);
  tagLines(child, `worker ${place.rank}`);
  onStart(child);
  return { place, child, ticks: undefined, isSilent: false, fault: undefined, end: undefined };
}

function listen(worker: Running, workers: readonly Running[], options: WorkersOptions, said: Said): void {
  const { child, place } = worker;
  const pulse = child.stdio[PULSE_DESCRIPTOR] as Readable | null | undefined;
  pulse?.on("data", () => (worker.ticks = 0)).on("error", () => undefined);
  child.on("message", (message) => {
    const received = message as FromWorker;
    if (received.type === "store") {
      for (const other of workers) if (other !== worker) tell(other, received.port);
    }
    if (received.type === "fault") worker.fault ??= received.fault;
    hear(received, place.rank, options, said);
  });
  if (place.rank !== 0) void options.storePort?.then((port) => tell(worker, port)).catch(() => undefined);
}

function hear(received: FromWorker, rank: number, { onMessage, onStore, onStep, onCome }: WorkersOptions, said: Said): void {
  switch (received.type) {
    case "store":
      onStore?.(received.port);
      break;
    case "listening":
    case "joined":
      onCome?.(received.type);
      break;
    case "stepped":
      onStep?.(received.step);
      break;
    case "fault":
      break;
    default:
      if (rank !== 0) break;
      if (received.type === "run") said.hadRun = true;
      if (received.type === "step") {
        said.lastStep = received.record.step;
        onStep?.(received.record.step);
      }
      onMessage(received);
  }
}

function tell({ child }: Running, port: number): void {
  child.send({ type: "store", port } satisfies ToWorker, () => undefined);
}

/** Settles with the first end that is the run's: the first worker's, or another's that isn't in order. */
function whenEnded(
  worker: Running,
  isFirstElsewhere: boolean,
  said: Said,
  resolve: (end: WorkersEnd) => void,
  reject: (error: Error) => void,
): void {
  const { child, place } = worker;
  child.once("error", (error) => {
    if (child.pid === undefined) reject(error);
  });
  child.once("close", (code, signal) => {
    const name =
      place.size === 1 ? "the training process" : `worker ${place.rank} of ${place.size} (process ${child.pid} on ${os.hostname()})`;
    const lastStep = place.size === 1 ? undefined : said.lastStep;
    const { fault, isSilent } = worker;
    const end = { hadRun: said.hadRun, lastStep, fault, rank: place.rank, code, signal, name, pid: child.pid, isSilent };
    worker.end = end;
    // Where the first worker is another driver's, these end when they do.
    if (place.rank === 0 || isFirstElsewhere || !isOrderly(end)) resolve(end);
  });
}

function isOrderly({ code, signal }: Pick<WorkersEnd, "code" | "signal">): boolean {
  return signal === null && (code === EXIT.finished || code === EXIT.requeue);
}

/** What the first worker failed of by itself, if it did. */
function ownFailure(workers: readonly Running[]): WorkersEnd | undefined {
  return workers.map(({ end }) => end).find((end) => end?.rank === 0 && end.signal === null && !isOrderly(end));
}

/** Waits until all have ended, so long at most. */
async function allGone(workers: readonly Running[], patience: number): Promise<void> {
  const start = performance.now();
  while (workers.some(({ end }) => end === undefined) && performance.now() - start < patience)
    await new Promise((resolve) => setTimeout(resolve, 20));
}

function giveUpSilent(workers: readonly Running[], silence: number): void {
  for (const worker of workers) {
    if (worker.ticks === undefined || worker.end !== undefined) continue;
    worker.ticks++;
    if (worker.ticks * PULSE_EVERY <= silence || worker.isSilent) continue;
    worker.isSilent = true;
    worker.child.kill("SIGKILL");
  }
}
