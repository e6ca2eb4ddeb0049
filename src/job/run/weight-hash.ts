/**
 * Whether all workers have the same weights, to the bit. Those that train begin alike and take the same steps, so a difference means another processor, another library or a fault; training on would add up gradients of models that aren't
 * one. Those that answer together have read the same files, or files of one name on disks of their own.
 * The price: each model's bytes are read once, a second for 80 M parameters.
 */
import { createHash } from "node:crypto";
import { UserError, type Fault } from "../../errors.js";
import type { RunState } from "../../training/run-state.js";
import type { ProcessGroup } from "../../distributed/process-group.js";

type Weights = Iterable<{ toBytes(): Uint8Array }>;

/** @throws UserError naming the model and the workers that differ from the first */
export function requireSameWeights(group: ProcessGroup, { trainables, progress }: Pick<RunState, "trainables" | "progress">): void {
  const models = new Map([...trainables].map(([name, { parameters }]) => [name, parameters.values()]));
  requireSameModels(group, models, {
    where: `step ${progress.step}`,
    remedy: "start all workers on machines of one kind, with one PyTorch, and go on from the last checkpoint: --resume auto",
  });
}

/** @throws UserError naming the model and the workers that differ from the first, or lack it */
export function requireSameModels(
  group: ProcessGroup,
  models: ReadonlyMap<string, Weights>,
  fault: Required<Pick<Fault, "where" | "remedy">>,
): void {
  const own = Object.fromEntries([...models].map(([name, weights]) => [name, hashOf(weights)]));
  const all = group.gatherValues("hash of weights", own);
  for (const name of new Set(all.flatMap((hashes) => Object.keys(hashes)))) {
    const others = all.flatMap((hashes, rank) => (hashes[name] === all[0]?.[name] ? [] : [rank]));
    if (others.length === 0) continue;
    throw new UserError({
      ...fault,
      what: `the ${name}'s weights of worker ${others.join(", ")} aren't those of worker 0`,
      expected: "equal weights in all workers, to the bit",
    });
  }
}

function hashOf(weights: Weights): string {
  const hash = createHash("sha1");
  for (const weight of weights) hash.update(weight.toBytes());
  return hash.digest("hex");
}
