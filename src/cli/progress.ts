/**
 * How far something is: a bar on a terminal, a plain line every ten seconds in a pipe, nothing when quiet. Everything goes to stderr, so that
 * stdout holds results only. It isn't the log: metrics.jsonl is. The trap: in a synchronous loop no timer fires, so `update` itself draws.
 */
import cliProgress from "cli-progress";

export interface ProgressOptions {
  /** What is done: `embedding`. */
  readonly label: string;
  /** How many there are; Infinity: nobody knows. */
  readonly total: number;
  /** What is counted: `passages`. */
  readonly unit: string;
  /** Where the count begins, after a resume. */
  readonly start?: number;
  readonly quiet?: boolean;
  readonly stream?: NodeJS.WriteStream;
  /** Milliseconds; a test has its own clock. */
  readonly now?: () => number;
}

export interface Progress {
  /** So many are done; `loss` is the current one, `note` a word about the phase. */
  update(done: number, facts?: ProgressFacts): void;
  /** Draws the last state and leaves the line. */
  finish(): void;
}

export interface ProgressFacts {
  readonly loss?: number;
  readonly note?: string;
  /** A better guess at what is left than the mean rate gives. */
  readonly secondsLeft?: number;
}

/** Milliseconds between two plain lines. */
const lineEvery = 10_000;

/** Starts to show; call `finish` in every case, or the terminal's line stays open. */
export function startProgress(options: ProgressOptions): Progress {
  const stream = options.stream ?? process.stderr;
  if (options.quiet === true) return { update: () => undefined, finish: () => undefined };
  return stream.isTTY ? bar(options, stream) : lines(options, stream);
}

/** Done, share, rate, time left and loss in one line of text. */
export function progressText(options: ProgressOptions, done: number, elapsedMs: number, facts: ProgressFacts): string {
  const { label, total, unit, start = 0 } = options;
  const rate = elapsedMs > 0 ? ((done - start) * 1000) / elapsedMs : 0;
  const share = total > 0 ? Math.floor((100 * done) / total) : 100;
  const isOpen = total === Infinity;
  const parts = [
    `${label}${facts.note === undefined ? "" : ` (${facts.note})`}: ${isOpen ? `${done} ${unit}` : `${done}/${total} ${unit} (${share} %)`}`,
    ...(rate > 0 ? [`${rateText(rate)} ${unit}/s`] : []),
    ...(rate > 0 && done < total && !isOpen ? [`${durationText(facts.secondsLeft ?? (total - done) / rate)} left`] : []),
    ...(facts.loss === undefined ? [] : [`loss ${facts.loss.toFixed(4)}`]),
  ];
  return parts.join(", ");
}

function rateText(rate: number): string {
  return rate >= 100 ? String(Math.round(rate)) : rate.toPrecision(2);
}

/** `45 s`, `3 min 20 s`, `2 h 5 min`. */
export function durationText(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

function lines(options: ProgressOptions, stream: NodeJS.WriteStream): Progress {
  const now = options.now ?? Date.now;
  const began = now();
  let last = began;
  let state: { done: number; facts: ProgressFacts } = { done: options.start ?? 0, facts: {} };
  let written = -1;
  const write = (): void => {
    written = state.done;
    last = now();
    stream.write(`${progressText(options, state.done, last - began, state.facts)}\n`);
  };
  return {
    update: (done, facts = {}) => {
      state = { done, facts };
      if (now() - last >= lineEvery) write();
    },
    finish: () => {
      if (written !== state.done) write();
    },
  };
}

function bar(options: ProgressOptions, stream: NodeJS.WriteStream): Progress {
  const now = options.now ?? Date.now;
  const began = now();
  let latest: ProgressFacts = {};
  const single = new cliProgress.SingleBar({
    stream,
    fps: 5,
    barsize: 24,
    hideCursor: false,
    linewrap: false,
    format: (barOptions, params) => {
      const drawn = cliProgress.Format.BarFormat(params.progress, barOptions);
      return `${drawn} ${progressText(options, params.value, now() - began, latest)}`;
    },
  });
  single.start(Math.min(options.total, Number.MAX_SAFE_INTEGER), options.start ?? 0);
  return {
    update: (done, facts = {}) => {
      latest = facts;
      single.update(done);
    },
    finish: () => {
      single.stop();
    },
  };
}
