/**
 * What the keys of missing evidence must say together: what is taught where a context doesn't answer, and that there is more to learn than that. The trap: without an unknown answer a context without evidence teaches to answer
 * from memory, which is a choice, but seldom the one that was meant.
 */
import type { Check } from "./check-context.js";
import { contextsOfEntries } from "./entry-contexts.js";
import { trainsByAnswers } from "./phase-settings.js";

export function checkEvidence({ config, refuse, warn }: Check): void {
  const { drop_gold: share, unknown_answer: unknown } = config.train.generator;
  if (share > 0 && unknown === null)
    warn(
      "train.generator.drop_gold",
      `takes the answering passages out of ${Number((100 * share).toFixed(1))} % of the contexts, and the gold answer stays the target: that teaches to answer from memory, without evidence; for "I don't know" set train.generator.unknown_answer`,
    );
  if (share === 1 && unknown !== null)
    refuse("train.generator.drop_gold", "is 1: nothing but the unknown answer would be learnt", "set it below 1");
  const found = contextsOfEntries(config.train);
  const reads = found.some((contexts, index) => contexts === "retrieved" && trainsByAnswers(config, index));
  const refreshes = config.train.schedule.some(({ phase }) => phase === "refresh");
  if (unknown !== null && share === 0 && !(reads && refreshes))
    warn("train.generator.unknown_answer", "is never taught: every context holds its gold passage, and train.generator.drop_gold is 0");
}
