/**
 * What the HTML report shows beside the rows, read from the run directory: the log, the validations, the environment. It reads and arranges; src/report draws. The trap: a finished run is evaluated again long
 * after, by other versions: what is read here may lack what newer runs write, so what isn't there is left out, and what is damaged is named.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { renderYaml } from "../../config/render.js";
import type { TandemConfig } from "../../config/schema.js";
import { engineFacts } from "../../engine/info.js";
import { UserError } from "../../errors.js";
import { phaseSpans, type CurveRecord } from "../../report/curves.js";
import type { ReportPage } from "../../report/report-html.js";
import { expectObject, readJson } from "../../storage/json-file.js";
import { readJsonLines } from "../../storage/json-lines.js";
import { readMetrics } from "../../tracking/metrics-log.js";
import { readOverrides, type RunDirectory } from "../../tracking/run-directory.js";
import type { TakenPhase } from "../run/run-schedule.js";

/** The run that a page is about. */
export interface PageRun {
  readonly places: RunDirectory;
  readonly config: TandemConfig;
  /** The phases as they were taken. */
  readonly schedule: readonly TakenPhase[];
  /** Overrides of this evaluation, over those that the run was started with. */
  readonly changes: readonly string[];
}

/** @throws UserError naming a file of the run that is damaged */
export function reportPage(
  { places, config, schedule, changes }: PageRun,
  made: Pick<ReportPage, "report" | "base" | "trained">,
): ReportPage {
  return {
    ...made,
    metrics: existsSync(places.metrics) ? [...readMetrics(places.metrics)] : [],
    validation: validations(path.join(places.validation, "summary.jsonl")),
    phases: phaseSpans(schedule),
    config: renderYaml(config),
    overrides: [...readOverrides(places), ...changes],
    origin: origin(places),
  };
}

function validations(file: string): CurveRecord[] {
  if (!existsSync(file)) return [];
  const record = (value: unknown, where: string): CurveRecord => {
    const { step, ...rest } = expectObject(value, where);
    if (typeof step === "number" && Number.isSafeInteger(step)) return { ...rest, step };
    throw new UserError({ where, what: "is no validation's summary", expected: "a step and its scores", remedy: "remove the line" });
  };
  return [...readJsonLines(file, record)];
}

/** Names and values of what the run was made from and with. The machine's own name is left out: reports are handed on. */
function origin(places: RunDirectory): [string, string][] {
  const { start, git, versions } = expectObject(readJson(places.environment), places.environment);
  const resumed = existsSync(places.resumptions) ? [...readJsonLines(places.resumptions, (value) => value)].length : 0;
  const facts = typeof versions === "object" && versions !== null ? Object.entries(versions) : [];
  const { torchVersion, cpuCapability } = engineFacts();
  return [
    ["started", String(start)],
    ...(resumed === 0 ? [] : [["taken up again", resumed === 1 ? "once" : `${resumed} times`] satisfies [string, string]]),
    ["source", source(git)],
    ...facts.filter(([name]) => name !== "host").map(([name, value]): [string, string] => [name.replace("_", " "), String(value)]),
    ["evaluated with", `libtorch ${torchVersion}, ${cpuCapability}`],
  ];
}

function source(git: unknown): string {
  if (typeof git !== "object" || git === null) return "unknown";
  const { revision, branch, changes } = git as Record<string, unknown>;
  const on = typeof branch === "string" ? ` on ${branch}` : "";
  return `${String(revision)}${on}${typeof changes === "string" ? `, with uncommitted changes (${changes})` : ""}`;
}
