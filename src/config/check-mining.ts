/**
 * What the keys of `train.contrastive.mining` and the schedule's `mine` mean together: ranks enough for what is wanted, bounds that don't shut each other out, scores that are of one scale, an index to mine from. It reads no file. The trap: a rule whose scores
 * nobody gives would drop nothing and say nothing.
 */
import type { Check } from "./check-context.js";
import { soundConfigOfEntry } from "./phase-settings.js";
import type { TandemConfig } from "./schema.js";

const THRESHOLDS = ["absolute_margin", "relative_margin", "max_score", "min_score"] as const;
const SECTION = "train.contrastive.mining";

/** Whether any rule reads scores. */
export function readsScores(mining: Readonly<Record<(typeof THRESHOLDS)[number], number | null>>): boolean {
  return THRESHOLDS.some((key) => mining[key] !== null);
}

export function checkMining({ config, refuse }: Check): void {
  const { hard_negatives: wanted, mining } = config.train.contrastive;
  const offered = mining.to - mining.from + 1;
  const isOwn = config.train.schedule.some((_, entry) => minesAsItBegins(config, entry));
  // One sentence for every command that mines by it; what is wanted of the window can't be said before it is one. A window that nothing reads is nobody's mistake: saved runs have such.
  if (wanted > 0 && offered < 1) {
    refuse(`${SECTION}.from`, `is ${mining.from}, above to (${mining.to}): no rank is left`, `set it to ${mining.to} or less, or raise to`);
  } else if (wanted > 0 && offered < wanted && isOwn) {
    refuse(`${SECTION}.to`, `leaves ${offered} ranks for ${wanted} hard negatives`, `raise it to at least ${mining.from + wanted - 1}`);
  }
  const set = THRESHOLDS.filter((key) => mining[key] !== null);
  const { min_score: least, max_score: most, teacher, source } = mining;
  if (least !== null && most !== null && least > most)
    refuse(`${SECTION}.min_score`, `is ${least}, above max_score (${most}): no passage is left`, "lower it");
  if (teacher.path !== null && set.length === 0)
    refuse(`${SECTION}.teacher.path`, "is set, but no rule reads its scores", `set ${SECTION}.relative_margin=0.05, say, or take it out`);
  const [first] = set;
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

/** Whether an entry is a contrastive phase that chooses its hard negatives as it begins: no `mine` that is always run stands before it. */
function minesAsItBegins(config: TandemConfig, entry: number): boolean {
  const { schedule } = config.train;
  const { hard_negatives: wanted } = soundConfigOfEntry(config, entry).train.contrastive;
  return schedule[entry]?.phase === "contrastive" && wanted > 0 && !schedule.slice(0, entry).some(isCertainMine);
}

function isCertainMine({ phase, when }: TandemConfig["train"]["schedule"][number]): boolean {
  return phase === "mine" && when === null;
}

/** A contrastive phase that looks its hard negatives or positives up in an index, and has none before it, goes without them. */
export function checkLookups({ config, warn }: Check): void {
  const { schedule } = config.train;
  const first = schedule.findIndex(({ phase }) => phase === "refresh");
  const settings = (entry: number): TandemConfig["train"]["contrastive"] => soundConfigOfEntry(config, entry).train.contrastive;
  const say = (key: string, isAsked: (entry: number) => boolean, what: string, remedy: string): void => {
    const idle = schedule.flatMap((_, entry) => (isAsked(entry) && (first === -1 || first > entry) ? [entry] : []));
    if (idle.length > 0)
      warn(
        `train.contrastive.${key}`,
        `${what}: entry ${idle.join(", ")} of the schedule comes before any refresh and goes without; ${remedy}`,
      );
  };
  say(
    "hard_negatives",
    (entry) => minesAsItBegins(config, entry) && settings(entry).mining.source === "dense",
    "are mined from what the index finds (train.contrastive.mining.source is dense)",
    "put a refresh before it, or mine by bm25",
  );
  say(
    "positives",
    (entry) => schedule[entry]?.phase === "contrastive" && settings(entry).positives === "answer",
    "is answer, which looks at what the index finds",
    "put a refresh before it",
  );
}

/** A mine needs an index, unless BM25 and gold passages are all it asks, and a contrastive phase that has its negatives in its batches. */
export function checkMines(check: Check): void {
  const { config, warn } = check;
  const { schedule } = config.train;
  for (const [index, { phase, with: own }] of schedule.entries()) {
    if (phase === "mine") checkMine(check, index);
    const rules = Object.keys(own?.["mining"] ?? {}).filter((rule) => rule !== "sampling");
    const [rule] = phase === "contrastive" ? rules : [];
    if (rule !== undefined && schedule.slice(0, index).some(isCertainMine))
      warn(`train.schedule.${index}.with.mining.${rule}`, "has no effect: a mine before it chose the phase's negatives by its own rules");
  }
}

function checkMine({ config, refuse, warn }: Check, index: number): void {
  const { schedule } = config.train;
  const settingsOf = (entry: number): TandemConfig["train"]["contrastive"] => soundConfigOfEntry(config, entry).train.contrastive;
  const key = `train.schedule.${index}.phase`;
  const isIndexed = schedule.slice(0, index).some(({ phase, when }) => phase === "refresh" && when === null);
  const { mining, positives } = settingsOf(index);
  const asks = mining.source === "bm25" ? "positives answer" : `mining.source ${mining.source}`;
  if (!isIndexed && (mining.source !== "bm25" || positives === "answer"))
    refuse(
      key,
      `is mine with ${asks}, but there may be no index before it`,
      "put a refresh without when before it, or mine by bm25 with positives gold",
    );
  const next = schedule.findIndex((entry, place) => place > index && isCertainMine(entry));
  const until = next === -1 ? schedule.length : next;
  const wanted = schedule.map(({ phase }, place) =>
    place > index && place < until && phase === "contrastive" ? settingsOf(place).hard_negatives : 0,
  );
  const most = Math.max(...wanted);
  if (most === 0) warn(key, "is mine, but no contrastive phase with train.contrastive.hard_negatives above 0 has what it chooses");
  else if (mining.from <= mining.to && mining.to - mining.from + 1 < most)
    refuse(
      key,
      `is mine among ranks ${mining.from} to ${mining.to}, but the phase ${wanted.indexOf(most)} wants ${most} hard negatives`,
      `set its mining.to to at least ${mining.from + most - 1}`,
    );
}
