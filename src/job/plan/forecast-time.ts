/**
 * Seconds of a run with so many workers, from what was measured of its parts. What all workers share is divided by their number, what the first does alone is not. The traps: steps wait for the slowest worker, and only the first one's share
 * was measured; and what the first does alone was measured on its share of the cores, though for the report it has all of its machine.
 */
import type { GenerationConfig } from "../../config/schema.js";
import { DEFAULT_BEAMS } from "../models/decoding-config.js";
import { stepTraffic, type StepTraffic } from "./all-reduce.js";
import { denseRows, type ForecastFacts, type Measured } from "./forecast-facts.js";
import type { Link } from "./measure-link.js";
import { lexicalSearches } from "./mined-entries.js";
import { stepSeconds } from "./step-times.js";

interface TimeRow {
  readonly what: string;
  /** How many of it. */
  readonly count: number;
  readonly seconds: number;
  /** Shared by all workers, or the first one's alone. */
  readonly by: "all" | "first";
}

export interface TimeForecast {
  readonly rows: readonly TimeRow[];
  /** Seconds that sums and messages add, where gradients are summed beside the backward pass, and where nothing is hidden. */
  readonly hidden: number;
  readonly exposed: number;
  /** Of the rows alone. */
  readonly alone: number;
  /** With what isn't hidden: the prediction. */
  readonly seconds: number;
}

/**
 * @param total workers on all nodes
 * @param link none: what is sent isn't counted
 */
export function forecastTime(facts: ForecastFacts, measured: Measured, passages: number, total: number, link?: Link): TimeForecast {
  const steps = stepRows(facts, measured, total);
  const rows = [...openingRows(facts, measured, passages, total), ...steps, ...workRows(facts, measured, passages, total)].filter(
    ({ seconds }) => seconds > 0,
  );
  let [hidden, exposed] = [0, 0];
  if (link !== undefined)
    for (const { kind, count, seconds } of steps) {
      const sent = trafficOf(facts, measured, kind, { link, total, compute: seconds / Math.max(1, count) });
      hidden += count * sent.hidden;
      exposed += count * sent.exposed;
    }
  const alone = rows.reduce((sum, row) => sum + row.seconds, 0);
  return {
    rows: rows.map(({ what, count, seconds, by }) => ({ what, count, seconds, by })),
    hidden,
    exposed,
    alone,
    seconds: alone + hidden,
  };
}

function trafficOf(
  { config, states }: ForecastFacts,
  { steps }: Measured,
  kind: string,
  { link, total, compute }: { readonly link: Link; readonly total: number; readonly compute: number },
): StepTraffic {
  // One worker exchanges nothing, so the counts are those of the largest number that was measured.
  const [[, most] = []] = [...(steps.get(kind) ?? [])].sort(([a], [b]) => b - a);
  const { messages = 0, rowBytes = 0, gradientBytes = 0 } = most ?? {};
  const sharded = config.train.shard_optimiser ? states.weights : 0;
  return stepTraffic(
    { messages, rowBytes, gradientBytes, weightBytes: Math.min(sharded, gradientBytes) },
    { link, workers: total, compute },
  );
}

interface StepRow extends TimeRow {
  readonly kind: string;
}

/** Steps of each kind; minutes end what has minutes. */
function stepRows({ entries }: ForecastFacts, { steps }: Measured, total: number): StepRow[] {
  const kinds = [...new Set(entries.map(({ kind }) => kind))];
  return kinds.map((kind) => {
    const each = stepSeconds(steps.get(kind) ?? new Map(), total);
    const counts = entries
      .filter((entry) => entry.kind === kind)
      .map((entry) => Math.min(entry.steps, entry.minutes === undefined ? Infinity : Math.ceil((60 * entry.minutes) / each)));
    const count = counts.reduce((sum, own) => sum + own, 0);
    return { what: `steps: ${kind}`, kind, count, seconds: count * each, by: "all" };
  });
}

function openingRows({ store }: ForecastFacts, { opening, audit }: Measured, passages: number, total: number): TimeRow[] {
  const growth = passages / store.size;
  return [
    { what: "models and questions", count: 1, seconds: opening.seconds * (total > 1 ? 2 : 1), by: "first" },
    { what: "corpus", count: 1, seconds: opening.corpusSeconds * growth, by: "first" },
    { what: "gradient audit", count: 1, seconds: audit, by: "first" },
  ];
}

function workRows(facts: ForecastFacts, measured: Measured, passages: number, total: number): TimeRow[] {
  const { work, questions, lexical, config } = facts;
  const { passage, question, comparison, answers, save } = measured;
  const dense = denseRows(config);
  const isExact = facts.faiss === null;
  const asked = work.searches * questions.learned + work.validations * questions.validated + dense * questions.tested;
  const mines = lexicalSearches(config);
  const lexicalRow = config.eval.rows.includes("bm25") ? questions.tested : 0;
  const builds = mines + (lexicalRow > 0 ? 1 : 0);
  const closed = 1 + (config.eval.rows.includes("closed-book") ? 1 : 0);
  const open = config.eval.rows.length + 1 - closed;
  const prompts = Math.max(1, Math.floor(config.eval.batch / rowsOfPrompt(config.generation)));
  const validationShare = slowestShare(questions.validated, prompts, total);
  const row = (what: string, count: number, each: number, by: TimeRow["by"]): TimeRow => ({ what, count, seconds: count * each, by });
  return [
    row("passages embedded", work.indexes * passages, passage / total, "all"),
    row("questions embedded", asked, question, "first"),
    row("questions searched", asked, isExact ? (comparison * passages) / total : 0, "all"),
    row("passages indexed by BM25", builds * passages, lexical?.build ?? 0, "first"),
    row("questions searched by BM25", mines * questions.learned + lexicalRow, (lexical?.search ?? 0) * passages, "first"),
    row("validation's answers", work.validations * questions.validated, answers.open * validationShare, "all"),
    row("checkpoints", work.checkpoints, save, "first"),
    row("report's answers", open * questions.tested, answers.open, "first"),
    row("report's answers without passages", closed * questions.tested, answers.closed, "first"),
    row("report's comparisons", (open + closed - 1) * questions.tested, answers.compared, "first"),
  ];
}

/** Rows of a batch that one question takes. */
function rowsOfPrompt({ strategy, beams, answers }: GenerationConfig): number {
  if (strategy === "beam") return beams ?? DEFAULT_BEAMS;
  return strategy === "sample" ? answers : 1;
}

/** Of what whole batches are shared out of, the part of the worker that has most: few questions are one worker's. */
export function slowestShare(questions: number, batch: number, workers: number): number {
  const batches = Math.ceil(questions / batch);
  return questions === 0 ? 0 : Math.min(1, (Math.ceil(batches / workers) * batch) / questions);
}
