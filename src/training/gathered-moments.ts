/**
 * How the first worker gets the moments that it lacks, while it writes a checkpoint: it asks for one tensor after the other, and the others answer until it says that it has done. So a checkpoint is the same whether moments were shared
 * out or not, and no worker ever holds more than one tensor of another's.
 * The trap: all workers take part in every save, also in one that writes no tensors, and also when writing fails half-way; so the first always says when it has done, whatever happened, and nobody else decides how much is asked.
 */
import type { ProcessGroup } from "../distributed/process-group.js";
import { scope } from "../engine/scope.js";
import { indices, ops, type Tensor } from "../engine/tensor.js";
import type { Optimiser, StatePart } from "./optimiser.js";
import type { RunState, Trainable } from "./run-state.js";

/** A tensor as a file wants it. */
export type TensorContent = Pick<Tensor, "dtype" | "shape" | "toBytes">;

/** The whole state of a model's optimiser, by name. */
export type MomentsOf = (trainable: Trainable) => ReadonlyMap<string, TensorContent>;

/** The first worker asks for no more. */
const DONE = -1;

/** The state of an optimiser that is all in this worker. */
export const ownMoments: MomentsOf = ({ name, optimiser }) => {
  if (optimiser.parts !== undefined)
    throw new Error(`checkpoint: the moments of '${name}' are shared out among the workers, and not gathered`);
  return optimiser.state();
};

interface Shared {
  readonly part: StatePart;
  readonly optimiser: Optimiser;
  /** Its number among all parts of all models. */
  readonly place: number;
}

type Sender = Pick<ProcessGroup, "rank" | "copyFrom">;

/**
 * Calls `write` in the first worker with all moments within its reach; the others serve it until it returns or throws. All workers call this together.
 *
 * @param write undefined in the others
 */
export function gatherMoments(
  group: Sender,
  { trainables }: Pick<RunState, "trainables">,
  write: ((momentsOf: MomentsOf) => void) | undefined,
): void {
  const shared = [...trainables.values()]
    .flatMap(({ optimiser }) => (optimiser.parts ?? []).map((part) => ({ part, optimiser })))
    .map((each, place): Shared => ({ ...each, place }));
  if (shared.length === 0) write?.(ownMoments);
  else if (write === undefined) serve(group, shared);
  else {
    try {
      write(({ optimiser }) => within(group, optimiser, shared));
    } finally {
      told(group, DONE);
    }
  }
}

/** The first worker's view of a model's state: what it hasn't is fetched when its bytes are wanted. */
function within(group: Sender, optimiser: Optimiser, shared: readonly Shared[]): ReadonlyMap<string, TensorContent> {
  if (optimiser.parts === undefined) return optimiser.state();
  const bytesOf = (wanted: Shared): Uint8Array => {
    if (wanted.part.owner === group.rank) return held(wanted).toBytes();
    told(group, wanted.place);
    return scope(() => sent(group, wanted).toBytes());
  };
  const own = shared.filter((each) => each.optimiser === optimiser);
  return new Map(
    own.map((each) => [each.part.name, { dtype: each.part.dtype, shape: each.part.shape, toBytes: () => bytesOf(each) }] as const),
  );
}

function serve(group: Sender, shared: readonly Shared[]): void {
  for (;;) {
    const wanted = shared[told(group, DONE)];
    if (wanted === undefined) return;
    scope(() => void sent(group, wanted));
  }
}

/** The first worker's number, in all of them. */
function told(group: Sender, own: number): number {
  return scope(() => {
    const place = indices([own]);
    group.copyFrom(0, [place]);
    return place.item();
  });
}

/** A part, from its owner to all. */
function sent(group: Sender, wanted: Shared): Tensor {
  const { owner, shape, dtype, device } = wanted.part;
  const tensor = owner === group.rank ? held(wanted) : ops.empty(shape, dtype, device);
  group.copyFrom(owner, [tensor]);
  return tensor;
}

function held({ optimiser, part: { name } }: Shared): Tensor {
  const tensor = optimiser.state().get(name);
  if (tensor === undefined) throw new Error(`optimiser: '${name}' is this worker's to keep, and isn't there`);
  return tensor;
}
