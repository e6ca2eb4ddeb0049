/**
 * What the penalties' soft terms claim, held against what the model really writes: on one fixed batch the answers are generated greedily, repeats, keywords and lengths are counted on the tokens, beside
 * the gold answers' own counts, and each term's gradient norm is taken relative to cross-entropy's. It trains nothing. The trap: the batch must be the same at every probe, or the figures of
 * two probes can't be compared.
 */
import { decodeGreedy } from "../generation/greedy.js";
import type { Gpt2 } from "../nn/gpt2.js";
import { countOverused } from "./penalties/answer-costs.js";
import { gradientAlarms, termGradientNorms } from "./gradient-audit.js";
import { countCoverage } from "./penalties/keyword-coverage.js";
import { countRepeats } from "./penalties/ngram-repeat.js";
import { countLength } from "./penalties/short-answer.js";
import type { Phase } from "./phase.js";
import type { GeneratorBatch } from "./phases/generator.js";

export interface ProbeOptions {
  readonly model: Gpt2;
  readonly phase: Phase<GeneratorBatch>;
  readonly batch: GeneratorBatch;
  readonly eosId: number;
  /** Most answers that are generated. */
  readonly examples: number;
  readonly maxNewTokens: number;
  /** Length of the n-grams that are counted. */
  readonly n: number;
}

export interface ProbeResult {
  /** `probe/<count>/generated`, `probe/<count>/gold` (means over the answers; `repeats`, `length`, `overused`, `keywords`) and `probe/gradient/<term>` (norm relative to cross-entropy's). */
  readonly figures: Readonly<Record<string, number>>;
  /** Terms whose gradient is zero or drowns cross-entropy's. */
  readonly alarms: readonly string[];
}

/** Generates, counts and measures. Changes no weight and no gradient. */
export async function probePenalties(options: ProbeOptions): Promise<ProbeResult> {
  const members = options.batch.members.filter(({ prompt }) => prompt.answers.length > 0).slice(0, options.examples);
  const firsts = members.map(({ prompt, keywords }) => {
    const [answer] = prompt.answers;
    const { start, end } = answer ?? { start: 0, end: 0 };
    return { asked: prompt.ids.slice(0, start), gold: prompt.ids.slice(start, end), keywords: keywords[0] };
  });
  const { model, eosId } = options;
  // A training prompt may fill the model's positions up to the end of its gold answer, so what is generated is cut to the room that the longest leaves.
  const room = model.config.nPositions - Math.max(0, ...firsts.map(({ asked }) => asked.length));
  const maxNewTokens = Math.max(1, Math.min(options.maxNewTokens, room));
  const generated = await decodeGreedy(
    model,
    firsts.map(({ asked }) => asked),
    { maxNewTokens, eosId },
  );
  const written = firsts.map(({ gold, keywords }, i) => ({
    gold: gold.filter((id) => id !== eosId),
    generated: generated[i] ?? new Int32Array(),
    keywords,
  }));
  const figures: Record<string, number> = {};
  for (const side of ["generated", "gold"] as const) {
    figures[`probe/repeats/${side}`] = mean(written.map((entry) => countRepeats(entry[side], options.n)));
    figures[`probe/length/${side}`] = mean(written.map((entry) => countLength(entry[side], eosId)));
    figures[`probe/overused/${side}`] = mean(written.map((entry) => countOverused(entry[side], entry.gold)));
    const covered = written.flatMap((entry) =>
      entry.keywords === undefined || entry.keywords.ids.length === 0
        ? []
        : [countCoverage(entry[side], entry.keywords.ids, entry.keywords.weights)],
    );
    if (covered.length > 0) figures[`probe/keywords/${side}`] = mean(covered);
  }
  const norms = termGradientNorms(options.phase, options.batch);
  const main = norms["answer"] ?? 0;
  for (const [term, norm] of Object.entries(norms)) if (term !== "answer") figures[`probe/gradient/${term}`] = main === 0 ? 0 : norm / main;
  return { figures, alarms: gradientAlarms(norms, "answer") };
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
