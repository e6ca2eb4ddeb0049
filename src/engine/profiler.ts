/**
 * Where the time goes: named spans of our own work and, for a few steps, every operator that libtorch ran. It records into a sink that src/tracking turns into a file; it measures no rates (a run's log does). Like
 * gradient mode it belongs to the thread: code anywhere says {@link span}, and nothing happens unless {@link startProfiling} was called. The trap: recording operators slows them down, and the first steps
 * of a phase are slower than all others, so a few steps after those are recorded.
 * Source: torch.profiler (wait, warm-up, active) and its record_function; the events are libtorch's own, from Kineto.
 */
import { native } from "./native.js";

/** Steps of a kind that pass before operators are recorded: libtorch's allocator and caches settle. */
const SKIPPED = 2;
/** Steps of a kind whose operators are recorded. */
const RECORDED = 3;

export interface TraceEvent {
  readonly name: string;
  /** `span`: work of ours; `operator`: libtorch on the processor; `kernel`: on a device. */
  readonly category: "span" | "operator" | "kernel";
  /** Microseconds since the process began, about. */
  readonly start: number;
  /** Microseconds. */
  readonly duration: number;
  /** The thread, or the device's stream. */
  readonly thread: number;
  /** The device's number; undefined: the processor. */
  readonly device?: number;
}

interface Recording {
  readonly write: (event: TraceEvent) => void;
  /** The thread that JavaScript runs on, by libtorch's count. */
  readonly thread: number;
  /** Steps seen so far, by kind. */
  readonly seen: Map<string, number>;
}

/** Where times count from, in milliseconds since 1970. The trap: counted from 1970 a double holds a quarter of a microsecond, and spans that follow each other overlap. */
const ORIGIN = Math.floor(performance.timeOrigin);

let recording: Recording | undefined;

/** Sends spans and operators to `write` from now on. */
export function startProfiling(write: (event: TraceEvent) => void): void {
  recording = { write, thread: native().profilerThread(), seen: new Map() };
}

export function stopProfiling(): void {
  recording = undefined;
}

/** Runs `body` as a span of the trace; one that returns a promise lasts until that settles. Spans on one thread must lie within each other. */
export function span<T>(name: string, body: () => T): T {
  if (recording === undefined) return body();
  const start = now();
  const end = (): void => note(name, start);
  let result: T;
  try {
    result = body();
  } catch (error) {
    end();
    throw error;
  }
  if (!(result instanceof Promise)) {
    end();
    return result;
  }
  return result.finally(end) as T;
}

/** Runs a step of a kind as a span; the operators of a few of them are recorded. `body` must be synchronous. */
export function profiledStep<T>(kind: string, body: () => T): T {
  if (recording === undefined) return body();
  const { seen } = recording;
  const count = seen.get(kind) ?? 0;
  seen.set(kind, count + 1);
  const name = `step (${kind})`;
  return count < SKIPPED || count >= SKIPPED + RECORDED ? span(name, body) : span(name, () => withOperators(body));
}

function withOperators<T>(body: () => T): T {
  const engine = native();
  engine.startProfiler();
  try {
    return body();
  } finally {
    writeOperators(engine.stopProfiler(ORIGIN));
  }
}

function writeOperators({ names, numbers }: { readonly names: readonly string[]; readonly numbers: Float64Array }): void {
  names.forEach((name, index) => {
    const [start = 0, duration = 0, thread = 0, device = -1] = numbers.subarray(4 * index, 4 * index + 4);
    if (device < 0) recording?.write({ name, category: "operator", start, duration, thread });
    else recording?.write({ name, category: "kernel", start, duration, thread, device });
  });
}

function note(name: string, start: number): void {
  recording?.write({ name, category: "span", start, duration: now() - start, thread: recording.thread });
}

/** Microseconds since {@link ORIGIN}. */
function now(): number {
  return 1000 * (performance.timeOrigin - ORIGIN + performance.now());
}
