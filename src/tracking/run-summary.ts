/**
 * What a run directory says about its run, from small files and the end of its log: for lists of many runs, without a server, a model or the whole log. The trap: a run may be old, broken or just being made; then
 * the list says so in its line and goes on.
 */
import { closeSync, existsSync, fstatSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { basename, join } from "node:path";
import { UserError } from "../errors.js";
import { aboutFile } from "../storage/file-fault.js";
import { expectObject, parseJson, readJson } from "../storage/json-file.js";
import { recordOfLine, type MetricsRecord } from "./metrics-log.js";
import { rowFigures } from "./report-figures.js";
import { runPlaces, type RunDirectory } from "./run-directory.js";
import { byTime, isSweepFolder } from "./run-folder.js";
import { readStatus, type RunState } from "./run-status.js";

/** Names and their numbers; null where nothing could be measured. */
export type Figures = Readonly<Record<string, number | null>>;

export interface RunSummary {
  /** The run directory. */
  readonly run: string;
  readonly name: string;
  readonly state: RunState | "unreadable";
  /** Why a run failed, or can't be read. */
  readonly reason?: string;
  /** ISO times. */
  readonly started: string | null;
  readonly ended: string | null;
  /** The last logged step, its phase and loss. */
  readonly step: number | null;
  readonly phase: string | null;
  readonly loss: number | null;
  /** Where the figures are from. */
  readonly from: "report" | "validation" | null;
  /** em, f1, mrr, recall@k of the trained pair. */
  readonly figures: Figures;
}

/** A row of a report. */
export interface RowFigures {
  readonly name: string;
  readonly figures: Figures;
}

/** The end of a log that surely holds its last line. */
const TAIL = 64 * 1024;

/** The runs in a folder, the oldest first; a sweep's runs stand where the sweep does. @throws UserError when the folder can't be read */
export function runsIn(root: string): RunDirectory[] {
  if (!existsSync(root)) throw new UserError({ where: root, what: "no such folder", remedy: "name the folder that holds the runs" });
  return aboutFile(root, () => readdirSync(root))
    .filter((name) => !name.startsWith("."))
    .sort(byTime)
    .flatMap((name) => (isSweepFolder(join(root, name)) ? runsIn(join(root, name)) : [runPlaces(join(root, name))]))
    .filter(({ environment }) => existsSync(environment));
}

export function summariseRun(run: RunDirectory): RunSummary {
  const nothing = { step: null, phase: null, loss: null, from: null, figures: {}, ended: null } as const;
  try {
    const { name, start } = expectObject(readJson(run.environment), run.environment);
    const { state, time, reason } = readStatus(run);
    const last = lastRecord(run);
    const scored = scores(run);
    return {
      run: run.path,
      name: typeof name === "string" ? name : basename(run.path),
      state,
      ...(reason === undefined ? {} : { reason }),
      started: typeof start === "string" ? start : null,
      ended: state === "running" || time === undefined ? null : new Date(time).toISOString(),
      step: last?.step ?? null,
      phase: last?.phase ?? null,
      loss: typeof last?.["loss"] === "number" ? last["loss"] : null,
      ...scored,
    };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { run: run.path, name: basename(run.path), state: "unreadable", reason: error.message, started: null, ...nothing };
  }
}

/** The rows of a run's report; undefined while there is none. @throws UserError when it can't be read, or isn't a report */
export function reportRows(run: RunDirectory): RowFigures[] | undefined {
  if (!existsSync(run.reportJson)) return undefined;
  // Reports of older versions may have no `more`.
  const { rows, more = [] } = expectObject(readJson(run.reportJson), run.reportJson);
  if (!Array.isArray(rows) || !Array.isArray(more)) throw noReport(run);
  return [...(rows as unknown[]), ...(more as unknown[])].map((row) => {
    const { name, ...values } = expectObject(row, run.reportJson);
    if (typeof name !== "string" || name === "") throw noReport(run);
    return { name, figures: figuresOf(rowFigures(values)) };
  });
}

function noReport({ path, reportJson }: RunDirectory): UserError {
  return new UserError({
    where: reportJson,
    what: "is not a run's report",
    expected: "rows that have names, as tandem train writes them",
    remedy: `write it again: tandem train --resume ${path}`,
  });
}

/** The lines of validation/summary.jsonl. @throws UserError when one can't be read */
export function validations(run: RunDirectory): { step: number; phase: string; figures: Figures }[] {
  const file = join(run.validation, "summary.jsonl");
  if (!existsSync(file)) return [];
  const lines = aboutFile(file, () => readFileSync(file, "utf8"))
    .split("\n")
    .filter((line) => line.trim() !== "");
  return lines.map((line) => {
    const { step, phase, ...values } = expectObject(parseJson(line, file), file);
    return { step: Number(step), phase: String(phase), figures: figuresOf({ ...values, time: "" }) };
  });
}

/** The last whole line of the log. @throws UserError when it is no record */
export function lastRecord(run: RunDirectory): MetricsRecord | undefined {
  if (!existsSync(run.metrics)) return undefined;
  const descriptor = aboutFile(run.metrics, () => openSync(run.metrics, "r"));
  try {
    const { size } = fstatSync(descriptor);
    const bytes = Buffer.alloc(Math.min(size, TAIL));
    readSync(descriptor, bytes, 0, bytes.length, size - bytes.length);
    const whole = bytes.subarray(0, bytes.lastIndexOf(0x0a) + 1);
    const line = whole.toString("utf8").trimEnd().split("\n").at(-1) ?? "";
    return line === "" ? undefined : recordOfLine(line, run.metrics);
  } finally {
    closeSync(descriptor);
  }
}

function scores(run: RunDirectory): Pick<RunSummary, "from" | "figures"> {
  const trained = reportRows(run)?.find(({ name }) => name === "trained-pair");
  if (trained !== undefined) return { from: "report", figures: trained.figures };
  const last = validations(run).at(-1);
  return last === undefined ? { from: null, figures: {} } : { from: "validation", figures: last.figures };
}

/** `recall: {"1": 0.5}` is `recall@1`; intervals and texts aren't figures. */
function figuresOf(values: Readonly<Record<string, unknown>>): Figures {
  const entries = Object.entries(values).flatMap(([name, value]): [string, number | null][] => {
    if (typeof value === "number" || value === null) return [[name, value]];
    if (typeof value !== "object" || Array.isArray(value)) return [];
    return Object.entries(figuresOf(value as Record<string, unknown>)).map(([k, inner]) => [`${name}@${k}`, inner]);
  });
  return Object.fromEntries(entries);
}
