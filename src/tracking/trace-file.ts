/**
 * A trace of a run as Perfetto and chrome://tracing read it: a JSON array of complete events, a line each, in the Trace Event Format. It measures nothing; src/engine/profiler.ts does. The trap: a process that is
 * killed never writes the closing bracket, which the format allows to be missing; what was flushed ends with a whole event and can be opened.
 * Source: "Trace Event Format" (Google, 2016), JSON Array Format and "X" events.
 */
import { closeSync, mkdirSync, openSync, readdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../errors.js";
import { aboutFile } from "../storage/file-fault.js";

/** An event of the trace; times in microseconds. */
export interface TracedEvent {
  readonly name: string;
  readonly category: string;
  readonly start: number;
  readonly duration: number;
  readonly thread: number;
  /** The number of a graphics card; undefined: the processor. */
  readonly device?: number;
}

/** What is added to a thread's number for the row of its operators. */
const OPERATORS = 1000;

/** Characters that are held back before they are written. */
const HELD = 1 << 16;

export class TraceFile {
  readonly path: string;
  readonly #file: number;
  readonly #named = new Set<string>();
  #held: string;
  #isBroken = false;
  #isEmpty = true;

  readonly #broken: (error: UserError) => void;

  private constructor(path: string, broken: (error: UserError) => void) {
    this.path = path;
    this.#broken = broken;
    this.#file = aboutFile(path, () => openSync(path, "wx"));
    this.#held = "[";
  }

  /**
   * Starts `trace-<n>.json` in a folder, which is made; a resumed run has one for each time it was taken up.
   *
   * @param broken told once when the disk takes no more; the trace ends there, and nothing is thrown: no run ends for its profile
   * @throws UserError when nothing can be written there from the start
   */
  static open(folder: string, broken: (error: UserError) => void): TraceFile {
    aboutFile(folder, () => mkdirSync(folder, { recursive: true }));
    const numbers = readdirSync(folder).map((name) => Number(/^trace-(\d+)\.json$/.exec(name)?.[1] ?? 0));
    return new TraceFile(join(folder, `trace-${Math.max(0, ...numbers) + 1}.json`), broken);
  }

  /**
   * Operators have a row of their own below the spans: libtorch keeps another clock, and events of a row must lie within each other.
   *
   * @param event is passed over once the file is broken
   */
  write({ name, category, start, duration, thread, device }: TracedEvent): void {
    const pid = process.pid + (device === undefined ? 0 : device + 1);
    const tid = category === "operator" ? OPERATORS + thread : thread;
    this.#title("process_name", pid, 0, device === undefined ? "training process" : `cuda:${device}`);
    this.#title("thread_name", pid, tid, category === "operator" ? "libtorch" : category === "span" ? "Tandem" : "stream");
    // Start and end are rounded, not the duration: what lies within another still does.
    const from = Math.round(1000 * start);
    const to = Math.round(1000 * (start + duration));
    this.#line({ name, cat: category, ph: "X", ts: from / 1000, dur: (to - from) / 1000, pid, tid });
  }

  /** Names a process or a row, once. */
  #title(kind: "process_name" | "thread_name", pid: number, tid: number, title: string): void {
    const key = `${kind} ${pid} ${tid}`;
    if (this.#named.has(key)) return;
    this.#named.add(key);
    this.#line({ name: kind, ph: "M", pid, tid, args: { name: title } });
  }

  /** Ends the array. */
  close(): void {
    this.#held += "\n]\n";
    this.#flush();
    closeSync(this.#file);
  }

  #line(event: object): void {
    this.#held += `${this.#isEmpty ? "" : ","}\n${JSON.stringify(event)}`;
    this.#isEmpty = false;
    if (this.#held.length > HELD) this.#flush();
  }

  #flush(): void {
    const bytes = Buffer.from(this.#held);
    this.#held = "";
    if (this.#isBroken) return;
    try {
      aboutFile(this.path, () => {
        for (let written = 0; written < bytes.length;) written += writeSync(this.#file, bytes, written);
      });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.#isBroken = true;
      this.#broken(error);
    }
  }
}
