/**
 * Measures what a forecast needs, within about so many seconds: steps of each kind for this number of workers and for others, embedding, search, answers, a checkpoint, the link. Real work on the run's own data, in this process. The trap:
 * what is slow takes longer than its part, since nothing can be said from less than a step; of numbers of workers that there was no time for, the step is taken in a line between those that were measured.
 */
import { getHeapStatistics } from "node:v8";
import { scope } from "../../engine/scope.js";
import { saveCheckpoint } from "../../training/checkpoint.js";
import { auditRows } from "../training/audited-phases.js";
import type { OpenRun } from "../run/open-run.js";
import type { Measured } from "./forecast-facts.js";
import { answerCosts } from "./measure-answers.js";
import { embeddingSeconds } from "./measure-embedding.js";
import { measureLink } from "./measure-link.js";
import { comparisonSeconds } from "./measure-search.js";
import type { Opening } from "./open-plan.js";
import { ownSeconds, waitedSeconds } from "./own-clock.js";
import { forgetPeak, heldBytes, peakBytes } from "./resident-memory.js";
import { quicker, type Kind, type StepCost, type StepTimes } from "./step-times.js";

export interface MeasureOptions {
  /** For everything together. */
  readonly seconds: number;
  /** Workers of the run, and others that steps are measured for. */
  readonly workers: number;
  readonly others: readonly number[];
  readonly kinds: readonly Kind[];
  readonly passages: number;
  readonly opening: Opening;
}

/** Shares of the time. Steps are most of a run. */
const [OWN, OTHERS, EMBEDDING, SEARCH, ANSWERS] = [0.5, 0.2, 0.1, 0.03, 0.12];
/** Questions that are embedded at once. */
const QUESTIONS = 256;

export async function measureRun(run: OpenRun, times: StepTimes, options: MeasureOptions): Promise<Measured> {
  const { seconds: given, kinds, workers, passages, opening } = options;
  const [began, waited] = [performance.now(), waitedSeconds()];
  const opened = heldBytes();
  const heap = getHeapStatistics().used_heap_size;
  const { report } = run;
  report({ type: "stage", name: "measuring", detail: `steps, embedding, search and answers, about ${Math.round(given)} s` });
  const steps = new Map<string, Map<number, StepCost>>();
  // Each kind twice, with all others between, so that what else the machine does for some seconds falls on one of them.
  for (const round of [1, 2]) {
    for (const kind of kinds) {
      const known = steps.get(kind.key)?.get(workers);
      const limits = { seconds: (OWN * given) / kinds.length / 2, least: 2, most: known?.times.length ?? 1000 };
      const own = await times.measure(kind, workers, limits);
      steps.set(kind.key, new Map([[workers, known === undefined || round === 1 ? own : quicker(known, own)]]));
    }
  }
  const stepPeak = peakOf([...steps.values()].flatMap((costs) => [...costs.values()]));
  await measureOthers(times, options, steps);
  forgetPeak();
  const passage = embeddingSeconds(run, { seconds: EMBEDDING * given });
  const question = questionSeconds(run);
  const comparison = await comparisonSeconds(run, passages, SEARCH * given);
  const answers = await answerCosts(run, ANSWERS * given);
  const audit = timed(() => void auditRows(run));
  const save = timed(() => saveCheckpoint(run.places.checkpoints, run.state));
  const workPeak = peakBytes();
  const link = workers > 1 || options.others.some((count) => count > 1) ? measureLink() : undefined;
  const held =
    opened === undefined || stepPeak === undefined || workPeak === undefined ? undefined : { opened, all: Math.max(stepPeak, workPeak) };
  const seconds = (performance.now() - began) / 1000;
  return {
    ...{ opening, steps, passage, question, comparison, answers, audit, save, held, heap, link },
    seconds,
    waited: (waitedSeconds() - waited) / seconds,
  };
}

/** Steps of other numbers of workers: the largest for every kind, then those between as long as there is time. */
async function measureOthers(
  times: StepTimes,
  { seconds, others, workers, kinds }: MeasureOptions,
  steps: ReadonlyMap<string, Map<number, StepCost>>,
): Promise<void> {
  const left = [...new Set(others)].filter((count) => count !== workers).sort((a, b) => b - a);
  const each = (OTHERS * seconds) / Math.max(1, left.length * kinds.length);
  const began = performance.now();
  for (const [place, count] of left.entries()) {
    if (place > 0 && performance.now() - began > 1000 * OTHERS * seconds) return;
    for (const kind of kinds) steps.get(kind.key)?.set(count, await times.measure(kind, count, { seconds: each, least: 1, most: 1000 }));
  }
}

function peakOf(costs: readonly StepCost[]): number | undefined {
  const peaks = costs.flatMap(({ peakBytes: peak }) => peak ?? []);
  return peaks.length === 0 ? undefined : Math.max(...peaks);
}

function questionSeconds({ sets, encoder }: OpenRun): number {
  const texts = sets.train.slice(0, QUESTIONS).map(({ question }) => question);
  if (texts.length === 0) return 0;
  const embed = (): void => scope(() => void encoder.embedQueries(texts));
  embed();
  return timed(embed) / texts.length;
}

function timed(work: () => void): number {
  const began = ownSeconds();
  work();
  return ownSeconds() - began;
}
