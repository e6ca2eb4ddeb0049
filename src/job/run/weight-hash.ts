/**
 * Whether all workers have the same weights, to the bit. They begin alike and take the same steps, so a difference means another processor, another library or a fault; training on would add up gradients of models that aren't one.
 * The price: each model's bytes are read once, a second for 80 M parameters.
 */
import { createHash } from "node:crypto";
import { UserError } from "../../errors.js";
import type { RunState } from "../../training/run-state.js";
import type { ProcessGroup } from "../../distributed/process-group.js";

/** @throws UserError naming the model and the workers that differ from the first */
export function requireSameWeights(group: ProcessGroup, { trainables, progress }: Pick<RunState, "trainables" | "progress">): void {
  const own = Object.fromEntries([...trainables].map(([name, { parameters }]) => [name, hashOf(parameters.values())]));
  const all = group.gatherValues("hash of weights", own);
  for (const name of trainables.keys()) {
    const others = all.flatMap((hashes, rank) => (hashes[name] === all[0]?.[name] ? [] : [rank]));
    if (others.length === 0) continue;
    throw new UserError({
      where: `step ${progress.step}`,
      what: `the ${name}'s weights of worker ${others.join(", ")} aren't those of worker 0`,
      expected: "equal weights in all workers, to the bit",
      remedy: "start all workers on machines of one kind, with one PyTorch, and go on from the last checkpoint: --resume auto",
    });
  }
}

function hashOf(weights: Iterable<{ toBytes(): Uint8Array }>): string {
  const hash = createHash("sha1");
  for (const weight of weights) hash.update(weight.toBytes());
  return hash.digest("hex");
}
