/**
 * The numbers of a run directory as MLflow's points: lines of metrics.jsonl as `<phase>/<name>`, validations as `validation/<name>`, the report as `report/<row>/<name>`. It sends nothing. The trap: a point's time
 * is written in the run directory, never taken from the clock, so that the same line always makes the same point.
 */
import { existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expectObject, parseJson, readJson } from "../storage/json-file.js";
import { LineFollower } from "./line-follower.js";
import { recordOfLine } from "./metrics-log.js";
import type { MetricPoint } from "./mlflow-client.js";
import { serverKey } from "./mlflow-limits.js";
import { rowFigures } from "./report-figures.js";
import type { RunDirectory } from "./run-directory.js";

/** The points of one step. */
export interface StepPoints {
  readonly step: number;
  readonly points: readonly MetricPoint[];
}

/** Gives what has come since; a step may come again. */
export interface MetricStream {
  newSteps(): AsyncGenerator<StepPoints, void, undefined>;
  /** Everything from the front again. */
  rewind(): void;
}

/** Lines of metrics.jsonl. @throws UserError naming a line that is no record */
export class TrainingStream implements MetricStream {
  readonly #follower: LineFollower;
  readonly #start: number;
  #last = 0;

  constructor(run: RunDirectory) {
    this.#follower = new LineFollower(run.metrics);
    this.#start = startOf(run);
  }

  /** The step of the last line that was read. */
  get lastStep(): number {
    return this.#last;
  }

  async *newSteps(): AsyncGenerator<StepPoints, void, undefined> {
    for await (const line of this.#follower.newLines()) {
      if (line.trim() === "") continue;
      const { step, phase, time, ...values } = recordOfLine(line, this.#follower.path);
      this.#last = step;
      yield { step, points: pointsOf(values, phase, step, typeof time === "number" ? time : this.#start) };
    }
  }

  rewind(): void {
    this.#follower.rewind();
  }
}

/** Lines of validation/summary.jsonl, which is replaced at every validation. */
export class ValidationStream implements MetricStream {
  readonly #file: string;
  readonly #start: number;
  #seen = "";

  constructor(run: RunDirectory) {
    this.#file = join(run.validation, "summary.jsonl");
    this.#start = startOf(run);
  }

  async *newSteps(): AsyncGenerator<StepPoints, void, undefined> {
    const mark = fileMark(this.#file);
    if (mark === undefined || mark === this.#seen) return;
    const lines = (await readFile(this.#file, "utf8")).split("\n").filter((line) => line.trim() !== "");
    for (const line of lines) {
      const { step, time, ...values } = expectObject(parseJson(line, this.#file), this.#file);
      const at = Number(step);
      yield { step: at, points: pointsOf(values, "validation", at, typeof time === "number" ? time : this.#start) };
    }
    this.#seen = mark;
  }

  rewind(): void {
    this.#seen = "";
  }
}

/** The rows of report.json, at the run's last step. */
export class ReportStream implements MetricStream {
  readonly #run: RunDirectory;
  readonly #lastStep: () => number;
  #seen = "";

  constructor(run: RunDirectory, lastStep: () => number) {
    this.#run = run;
    this.#lastStep = lastStep;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- one interface with those that wait
  async *newSteps(): AsyncGenerator<StepPoints, void, undefined> {
    const file = this.#run.reportJson;
    const mark = fileMark(file);
    if (mark === undefined || mark === this.#seen) return;
    const { rows, more } = expectObject(readJson(file), file);
    const step = this.#lastStep();
    const time = Math.round(statSync(file).mtimeMs);
    const all = [rows, more].flatMap((some) => (Array.isArray(some) ? (some as unknown[]) : []));
    const points = all.flatMap((row) => {
      const { name, ...values } = expectObject(row, file);
      return pointsOf(rowFigures(values), `report/${String(name)}`, step, time);
    });
    yield { step, points };
    this.#seen = mark;
  }

  rewind(): void {
    this.#seen = "";
  }
}

/** Size and time of a file: whether it is another by now. */
export function fileMark(file: string): string | undefined {
  const status = statSync(file, { throwIfNoEntry: false });
  return status?.isFile() === true ? `${status.size} ${Math.round(status.mtimeMs)}` : undefined;
}

/** Every number of a record, those inside of records too: `recall: {"1": 0.5}` is `recall_at_1`, `loss/answer` is `loss.answer`. */
function pointsOf(values: Readonly<Record<string, unknown>>, prefix: string, step: number, timestamp: number): MetricPoint[] {
  return Object.entries(values).flatMap(([name, value]): MetricPoint[] => {
    if (typeof value === "number") return [{ key: serverKey(`${prefix}/${name.replaceAll("/", ".")}`), value, timestamp, step }];
    if (typeof value !== "object" || value === null || Array.isArray(value)) return [];
    const inner = Object.entries(value).map(([k, entry]): [string, unknown] => [`${name}@${k}`, entry]);
    return pointsOf(Object.fromEntries(inner), prefix, step, timestamp);
  });
}

/** When the run began: the time of numbers that an older version wrote without one. */
function startOf(run: RunDirectory): number {
  if (!existsSync(run.environment)) return 0;
  const { start } = expectObject(readJson(run.environment), run.environment);
  const time = typeof start === "string" ? Date.parse(start) : Number.NaN;
  return Number.isFinite(time) ? time : 0;
}
