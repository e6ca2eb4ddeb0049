/**
 * What the keys of `train.contrastive.mining` mean together: ranks enough for what is wanted, bounds that don't shut each other out, scores that are of one scale. It reads no file. The trap: a rule whose scores
 * nobody gives would drop nothing and say nothing.
 */
import type { Check } from "./check-context.js";
import { soundConfigOfEntry } from "./phase-settings.js";

const THRESHOLDS = ["absolute_margin", "relative_margin", "max_score", "min_score"] as const;
const SECTION = "train.contrastive.mining";

/** Whether any rule reads scores. */
export function readsScores(mining: Readonly<Record<(typeof THRESHOLDS)[number], number | null>>): boolean {
  return THRESHOLDS.some((key) => mining[key] !== null);
}

export function checkMining({ config, refuse, warn }: Check): void {
  const { hard_negatives: wanted, mining } = config.train.contrastive;
  const offered = mining.to - mining.from + 1;
  if (wanted > 0 && offered < wanted) {
    refuse(
      `${SECTION}.to`,
      `leaves ${Math.max(0, offered)} ranks for ${wanted} hard negatives`,
      `raise it to at least ${mining.from + wanted - 1}`,
    );
  }
  const set = THRESHOLDS.filter((key) => mining[key] !== null);
  const { min_score: least, max_score: most, teacher, source } = mining;
  if (least !== null && most !== null && least > most)
    refuse(`${SECTION}.min_score`, `is ${least}, above max_score (${most}): no passage is left`, "lower it");
  if (teacher.path !== null && set.length === 0)
    refuse(`${SECTION}.teacher.path`, "is set, but no rule reads its scores", `set ${SECTION}.relative_margin=0.05, say, or take it out`);
  const [first] = set;
  const isWanted = config.train.schedule.some(
    ({ phase }, entry) => phase === "mine" || soundConfigOfEntry(config, entry).train.contrastive.hard_negatives > 0,
  );
  if (first !== undefined && wanted === 0 && !isWanted)
    warn(`${SECTION}.${first}`, "has no effect without train.contrastive.hard_negatives");
  if (teacher.path !== null) return;
  if (first !== undefined && source !== "bm25" && config.index.metric === "l2")
    refuse(
      `${SECTION}.${first}`,
      "reads scores that grow with likeness, and those of index.metric l2 shrink",
      "give a teacher, or another metric",
    );
  const scaled = set.find((key) => key !== "relative_margin");
  if (scaled !== undefined && source === "both")
    refuse(
      `${SECTION}.${scaled}`,
      "is one number for the scores of the index and of BM25, whose scales differ",
      `give a teacher (${SECTION}.teacher.path), or use relative_margin`,
    );
}
