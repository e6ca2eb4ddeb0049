/**
 * Which entries of a schedule choose hard negatives, and by which settings: a contrastive phase that has some, unless a `mine` before it chose them, and each `mine`. Read off the config alone; choosing is job/mining's. The traps: an entry's
 * own settings decide, not the run's; and what BM25 found is searched anew only where another depth or other positives are asked for.
 */
import { configOfEntry } from "../../config/phase-settings.js";
import type { TandemConfig } from "../../config/schema.js";

type Contrastive = TandemConfig["train"]["contrastive"];

/** The settings of each entry that chooses negatives, by its number. */
export function minedEntries(config: TandemConfig): Map<number, Contrastive> {
  const { schedule } = config.train;
  const follows = (entry: number, phase: string): boolean => schedule.slice(0, entry).some((before) => before.phase === phase);
  const mined = schedule.flatMap(({ phase }, entry) => {
    const { contrastive } = configOfEntry(config, entry).train;
    const hasSource = contrastive.mining.source !== "dense" || follows(entry, "refresh");
    const chooses = phase === "mine" || (phase === "contrastive" && contrastive.hard_negatives > 0 && !follows(entry, "mine"));
    return chooses && hasSource ? [[entry, contrastive] as const] : [];
  });
  return new Map(mined);
}

/** How often BM25 is built and asked all training questions. */
export function lexicalSearches(config: TandemConfig): number {
  const asked = [...minedEntries(config).values()].filter(({ mining }) => mining.source !== "dense");
  return new Set(asked.map(({ mining: { to, ranks }, positives }) => `${to} ${ranks} ${positives}`)).size;
}

/** The last rank that any entry takes; 0 where none mines. */
export function deepestMined(config: TandemConfig): number {
  return [...minedEntries(config).values()].reduce((most, { mining }) => Math.max(most, mining.to), 0);
}
