/**
 * What a config would run, before it runs: each entry of the schedule with its steps, epochs, rates, validations and checkpoints, and with an estimate of its time from a few real steps of each kind (`tandem config plan`). Memory, disk and
 * whole hours are forecast-run.ts's. The trap: a refresh is estimated by its embeddings alone.
 */
import { contextsOfEntries } from "../../config/entry-contexts.js";
import { configOfEntry } from "../../config/phase-settings.js";
import type { TandemConfig } from "../../config/schema.js";
import type { Report } from "../reporter.js";
import type { OpenRun } from "../run/open-run.js";
import { embeddingSeconds } from "./measure-embedding.js";
import { minedEntries } from "./mined-entries.js";
import { withPlannedRun } from "./open-plan.js";
import { planEntries, type PlannedEntry } from "./plan-entries.js";
import { StepTimes } from "./step-times.js";

export interface RunPlan {
  readonly entries: readonly PlannedEntry[];
  /** Sum of the entries' estimates. */
  readonly seconds: number | null;
  /** Milliseconds that this very measurement found a step of each kind to take, and a passage of a refresh. */
  readonly measured: Readonly<Record<string, number>>;
  /** What the estimate leaves out, one line each. */
  readonly left_out: readonly string[];
}

/** Steps that are measured of each kind of phase, after one that isn't. */
const STEPS = 4;
/** Texts that are embedded for the estimate of a refresh. */
const TEXTS = 64;

/** @throws UserError for whatever training would refuse before its first step */
export function planRun(config: TandemConfig, report: Report, isMeasured: boolean): Promise<RunPlan> {
  return withPlannedRun(config, report, 1, (run) => planOf(run, isMeasured));
}

async function planOf(run: OpenRun, isMeasured: boolean): Promise<RunPlan> {
  const times = new StepTimes(run);
  const seconds = new Map<string, number>();
  const once = async (key: string, measure: () => Promise<number> | number): Promise<number> => {
    const known = seconds.get(key) ?? (await measure());
    seconds.set(key, known);
    return known;
  };
  const plans = await planEntries(run, times, async ({ phase }, kind) => {
    if (!isMeasured || phase === "mine") return null;
    if (kind !== undefined)
      return once(kind.key, async () => (await times.measure(kind, 1, { seconds: 0, least: STEPS, most: STEPS })).seconds);
    // A question is embedded as a passage is; most are shorter.
    const each = await once("refresh, a passage", () => embeddingSeconds(run, { texts: TEXTS, seconds: 0 }));
    return each * (run.store.size + run.sets.train.length);
  });
  const entries = plans.map(({ planned }) => planned);
  return {
    entries,
    seconds: isMeasured ? entries.reduce((sum, entry) => sum + (entry.seconds ?? 0), 0) : null,
    measured: Object.fromEntries([...seconds].map(([key, value]) => [key, Math.round(1e5 * value) / 100])),
    left_out: leftOut(run, isMeasured),
  };
}

function leftOut(run: OpenRun, isMeasured: boolean): string[] {
  if (!isMeasured) return ["time: nothing was measured"];
  const { config, sets } = run;
  const answered = Math.min(sets.valid.length, config.train.validate.questions ?? Infinity);
  return [
    "preparing corpus, questions and first weights",
    "the gradient audit before the first step, and the penalties' probe",
    `validations: ${answered} answers each, with an index of their own where the retriever has moved`,
    "writing checkpoints and the log",
    "building and searching the index of a refresh: its embeddings alone are counted",
    "the evaluation and the report",
    ...(minedEntries(config).size > 0 ? ["mining: searching by BM25, a teacher's scores, choosing negatives"] : []),
    ...uncertain(run),
    `chance: each kind of step was measured ${STEPS} times`,
  ];
}

/** Why steps may be fewer, or shorter, than those that were measured. */
export function uncertain({ config, schedule }: OpenRun): string[] {
  const isConditional =
    schedule.some(({ until, when }) => until !== undefined || when !== undefined) || config.train.early_stopping.metric !== null;
  return [
    ...(isConditional ? ["phases that a condition or early stopping ends or skips: each counts whole"] : []),
    ...(hasCurriculum(config) ? ["shorter contexts at the start: steps were measured with whole ones"] : []),
  ];
}

/** Whether some phase begins with shorter contexts: of gold passages or copying, since what was retrieved is shown whole. */
function hasCurriculum(config: TandemConfig): boolean {
  const contexts = contextsOfEntries(config.train);
  return config.train.schedule.some(
    ({ phase }, entry) =>
      phase === "generator" && contexts[entry] !== "retrieved" && configOfEntry(config, entry).train.generator.curriculum.share > 0,
  );
}
