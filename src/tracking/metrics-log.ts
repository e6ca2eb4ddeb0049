/**
 * `metrics.jsonl`, the truth about a run's numbers: one JSON line for each step, appended as the step ends. A server can be fed from it later.
 * It isn't a database: reading goes from the front. Two traps. A process killed while it writes leaves half a line, which the next opening
 * takes away. And a run that is taken up at an older checkpoint would write steps a second time: open it with `after`.
 */
import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, statSync, writeSync } from "node:fs";
import { UserError } from "../errors.js";
import { AtomicFile } from "../storage/atomic-file.js";
import { aboutFile, fileFault } from "../storage/file-fault.js";
import { expectObject, parseJson } from "../storage/json-file.js";
import { readLines } from "../storage/json-lines.js";

/** One line. Numbers that JSON can't hold are written as the texts `NaN`, `Infinity` and `-Infinity`, and read back as numbers. */
export interface MetricsRecord {
  /** The global step, a whole number from 0 on; each stands once. */
  readonly step: number;
  readonly phase: string;
  readonly [name: string]: number | string | boolean | null;
}

/** The log of a run that is going on: append lines, sync before a checkpoint, close. */
export interface MetricsLog {
  /** The step of the last line, -1 when there is none. */
  readonly lastStep: number;
  /**
   * Adds a line at once (a killed process loses none that was appended).
   *
   * @throws UserError when the disk is full …; the line is then not there
   * @throws Error when the step isn't above the last one: a bug, or a log that was not cut back
   */
  append(record: MetricsRecord): void;
  /** Makes the lines so far last through a power cut. */
  sync(): void;
  close(): void;
}

/**
 * Opens the log for appending and mends it: half a last line is dropped, and with `after` all lines of later steps, at once or not at all.
 *
 * @param after the step of the checkpoint that the run goes on from; without it every whole line stays
 * @throws UserError naming file and line when a line before the last isn't a record
 */
export function openMetricsLog(path: string, { after }: { after?: number } = {}): MetricsLog {
  let lastStep = cutBackMetrics(path, after ?? Number.POSITIVE_INFINITY).lastStep;
  const descriptor = aboutFile(path, () => openSync(path, "a"));
  return {
    get lastStep() {
      return lastStep;
    },
    append(record) {
      if (!Number.isSafeInteger(record.step) || record.step <= lastStep) {
        throw new Error(`step ${record.step} can't follow step ${lastStep} in ${path}`);
      }
      appendLine(descriptor, path, `${JSON.stringify(record, writable)}\n`);
      lastStep = record.step;
    },
    sync: () => aboutFile(path, () => fsyncSync(descriptor)),
    close: () => closeSync(descriptor),
  };
}

/**
 * The records of a log, in order. Half a last line, of a writer that was killed or is writing just now, is passed over.
 *
 * @throws UserError naming file and line when a line isn't a record
 */
export function* readMetrics(path: string): Generator<MetricsRecord, void, undefined> {
  for (const { record } of wholeRecords(path)) yield record;
}

/**
 * Takes away half a last line and all records after `step`. The file is replaced at once, and only if something goes.
 *
 * @returns the step of the last record that stays (-1 if none does), and how many records went
 * @throws UserError naming file and line when a line isn't a record, or its step isn't above the one before
 */
export function cutBackMetrics(path: string, step: number): { lastStep: number; removed: number } {
  const target = aboutFile(path, () => statSync(path, { throwIfNoEntry: false }));
  if (target === undefined) return { lastStep: -1, removed: 0 };
  if (!target.isFile()) {
    throw fileFault(path, Object.assign(new Error("no log"), { code: target.isDirectory() ? "EISDIR" : "ENOTREG" }));
  }
  let lastStep = -1;
  let removed = 0;
  for (const { record, where } of wholeRecords(path)) {
    if (record.step > step) {
      removed++;
    } else if (record.step > lastStep) {
      lastStep = record.step;
    } else {
      throw new UserError({ where, what: `step ${record.step} stands after step ${lastStep}`, remedy: "remove one of the two lines" });
    }
  }
  if (removed > 0 || !endsWithLineFeed(path)) rewrite(path, step);
  return { lastStep, removed };
}

function rewrite(path: string, step: number): void {
  const kept = new AtomicFile(path);
  try {
    for (const { line, record } of wholeRecords(path)) {
      if (record.step <= step) kept.write(`${line}\n`);
    }
    kept.commit();
  } finally {
    kept.abort();
  }
}

function* wholeRecords(path: string): Generator<{ line: string; record: MetricsRecord; where: string }, void, undefined> {
  const lines = readLines(path);
  try {
    for (let number = 1; ; number++) {
      const where = `${path}:${number}`;
      let whole: { line: string; record: MetricsRecord; where: string };
      let line = "";
      try {
        const next = lines.next();
        if (next.done === true) return;
        line = next.value.line;
        if (line.trim() === "") continue;
        whole = { line, record: metricsRecord(parseJson(line, where), where), where };
      } catch (error) {
        if (error instanceof UserError && (aboutFile(path, () => lineFeeds(path)) === number - 1 || isGrown(path, number, line))) return;
        throw error;
      }
      yield whole;
    }
  } finally {
    lines.return();
  }
}

/** The record of one whole line. @param path for the error @throws UserError */
export function recordOfLine(line: string, path: string): MetricsRecord {
  return metricsRecord(parseJson(line, path), path);
}

function metricsRecord(value: unknown, where: string): MetricsRecord {
  const { step, phase, ...rest } = expectObject(value, where);
  if (!Number.isSafeInteger(step) || (step as number) < 0 || typeof phase !== "string") {
    throw new UserError({ where, what: "is not a metrics record", expected: "a step from 0 on and a phase" });
  }
  const numbers = Object.entries(rest).map(([name, entry]) => [name, nonFinite.get(entry) ?? entry]);
  return { step, phase, ...Object.fromEntries(numbers) } as MetricsRecord;
}

const nonFinite: ReadonlyMap<unknown, number> = new Map([
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["-Infinity", Number.NEGATIVE_INFINITY],
]);

function writable(_name: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}

/** One write for one line; when the disk fills up in the middle of it, the half line is taken off again. */
function appendLine(descriptor: number, path: string, line: string): void {
  const bytes = Buffer.from(line);
  const before = fstatSync(descriptor).size;
  try {
    for (let done = 0; done < bytes.length;) done += writeSync(descriptor, bytes, done);
  } catch (error) {
    ftruncateSync(descriptor, before);
    throw fileFault(path, error);
  }
}

function endsWithLineFeed(path: string): boolean {
  const descriptor = openSync(path, "r");
  try {
    const { size } = fstatSync(descriptor);
    const last = Buffer.alloc(1, "\n");
    if (size > 0) readSync(descriptor, last, 0, 1, size - 1);
    return last[0] === 0x0a;
  } finally {
    closeSync(descriptor);
  }
}

/** Whether line `number` is another by now than it was when it was read: its writer is at work, and it was the unfinished last one. */
function isGrown(path: string, number: number, line: string): boolean {
  for (const again of readLines(path)) if (again.number === number) return again.line !== line;
  return false;
}

/** Counted only when a line was wrong, to see whether it was the unfinished last one. */
function lineFeeds(path: string): number {
  const chunk = Buffer.allocUnsafe(1024 * 1024);
  const descriptor = openSync(path, "r");
  try {
    let count = 0;
    for (let size = readSync(descriptor, chunk); size > 0; size = readSync(descriptor, chunk)) {
      const bytes = chunk.subarray(0, size);
      for (let place = bytes.indexOf(0x0a); place !== -1; place = bytes.indexOf(0x0a, place + 1)) count++;
    }
    return count;
  } finally {
    closeSync(descriptor);
  }
}
