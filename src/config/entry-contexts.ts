/**
 * What each entry of the schedule has its generator read, as the config says it: gold passages, what an index found, or copying. The schedule of a run decides it again from its own entries
 * (src/training/schedule.ts). The trap: `auto` counts the generator phases that read questions; a copying one isn't among them.
 */
import type { TandemConfig } from "./schema.js";

/** One an entry; undefined where no generator learns. */
export function contextsOfEntries({
  schedule,
  generator,
}: Pick<TandemConfig["train"], "schedule" | "generator">): ("gold" | "retrieved" | "copying" | undefined)[] {
  let generators = 0;
  return schedule.map(({ phase, contexts }) => {
    if (phase === "joint") return "retrieved";
    if (phase !== "generator") return undefined;
    if (contexts !== "copying") generators += 1;
    if (contexts !== null) return contexts;
    if (generator.contexts !== "auto") return generator.contexts;
    return generators > 1 ? "retrieved" : "gold";
  });
}
