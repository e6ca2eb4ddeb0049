/**
 * What worker processes do together, over libtorch's c10d: sums, copies and gatherings of tensors, and gradients that are summed while backward still runs (c10d::Reducer). The single process has the same contract and does nothing.
 * It neither starts processes nor knows what is computed.
 * The trap: a call blocks until every member makes the same one, in the same order, with the same shapes. A member that skips one leaves the others waiting: what decides whether to call must be the same
 * everywhere. A member that dies doesn't wake the others surely; whoever started them ends them.
 */
import { deserialize, serialize } from "node:v8";
import { nativeCollectives } from "../engine/native.js";
import { fromBytes, Tensor } from "../engine/tensor.js";
import { scope } from "../engine/scope.js";
import { UserError } from "../errors.js";
import { cardUse, type CardUse, type MemberDevice } from "./graphics-cards.js";
import { packed } from "./packed-tensors.js";

/** Milliseconds for which a sum between graphics cards may wait for a member. Those that wait for what the first does alone wait on the processor, so all reach it about together. */
const NCCL_PATIENCE = 30 * 60_000;
/** Bytes of gradients that are sent together: as PyTorch's DistributedDataParallel. */
export const BUCKET_BYTES = 25 * 2 ** 20;

/**
 * Adds up one model's gradients over all members: those of the backward pass that follows {@link prepare}, with what earlier passes of the step left in them. Parameters that no member reached keep none, but for the first one where a member had {@link nothing} to add: it has 0. See {@link backwardSummed}.
 */
export interface GradientSum {
  /** Whether what is sent shares its way with the sums of other models: then all members must send theirs in one order. */
  readonly isInTurn: boolean;
  prepare(loss: Tensor): void;
  /** After the pass: returns when the sums are there. @throws OperatorError when a member was lost meanwhile */
  finish(): void;
  /** A loss that reaches the parameters and adds 0. */
  nothing(): Tensor;
  close(): void;
}

export interface ProcessGroup {
  readonly rank: number;
  readonly size: number;
  /** Each tensor becomes the sum of all members', in place. */
  sum(tensors: readonly Tensor[]): void;
  /** Each tensor becomes that of the member with rank `root`, in place. */
  copyFrom(root: number, tensors: readonly Tensor[]): void;
  /** Every member's tensor, in the order of ranks; all have one shape and dtype. Without a graph. */
  gather(own: Tensor): Tensor[];
  /**
   * Every member's value, in the order of ranks: plain data, as a structured clone carries it. For a few numbers and names.
   *
   * @param what the values are: the same everywhere
   * @throws Error on every member, where one is out of step and gathers something else
   */
  gatherValues<Value>(what: string, own: Value): Value[];
  /** Returns when all members have called it. */
  barrier(): void;
  /**
   * Says on which device this member's tensors will be; all members do, once, before they send any that is on a graphics card. Tensors on processors go as before.
   *
   * @returns how the cards are used; undefined where there are none, or nobody to send to
   * @throws UserError on every member, where they can't work together
   */
  computeOn(device: string): CardUse | undefined;
  gradientSum(parameters: readonly Tensor[]): GradientSum;
  close(): void;
}

/** The one process that is all there is. */
export const SINGLE_PROCESS: ProcessGroup = {
  rank: 0,
  size: 1,
  sum: () => undefined,
  copyFrom: () => undefined,
  gather: (own) => [own.detach()],
  gatherValues: (_, own) => [own],
  barrier: () => undefined,
  computeOn: () => undefined,
  gradientSum: ([first]) => ({
    isInTurn: false,
    prepare: () => undefined,
    finish: () => undefined,
    nothing: () => {
      if (first === undefined) throw new Error("gradients of no parameters");
      return first.reshape([-1]).narrow(0, 0, 1).mul(0).sum();
    },
    close: () => undefined,
  }),
  close: () => undefined,
};

/** Where the members of a group find each other: a server in one of their processes. */
export interface Store {
  readonly port: number;
  /** What native calls know it by. */
  readonly number: number;
  close(): void;
}

export interface StorePlace {
  readonly host: string;
  /** 0 for a server: any free port. */
  readonly port: number;
  readonly isServer: boolean;
  /** Milliseconds to wait for the server, or for a key. */
  readonly timeout: number;
}

/** @throws OperatorError when there is no server at that place within the time */
export function openStore({ host, port, isServer, timeout }: StorePlace): Store {
  const opened = nativeCollectives().openStore(host, port, isServer, timeout);
  return { port: opened.port, number: opened.store, close: () => nativeCollectives().closeStore(opened.store) };
}

export interface GroupPlace {
  readonly store: Store;
  /** Unique in the store. */
  readonly name: string;
  readonly rank: number;
  readonly size: number;
  /** This member's own address, as the others reach it: a host name or an IP address. */
  readonly address: string;
  /** Milliseconds that a call may wait for the others. */
  readonly timeout: number;
}

/** Joins a group; returns when all members have. @throws OperatorError when one doesn't come within the time */
export function openProcessGroup(place: GroupPlace): ProcessGroup {
  const { rank, size } = place;
  const native = nativeCollectives();
  const group = openNumbered(place, "");
  let sums = 0;
  let hasNccl = false;
  const telling: Telling = {
    rank,
    exchange: (own) => new Tensor(native.allGatherSmall(group, own.handle)),
    copyFrom: (root, bytes) => native.broadcast(group, [bytes.handle], root),
  };
  return {
    rank,
    size,
    sum: (tensors) => native.allReduce(group, handlesOf(tensors)),
    copyFrom: (root, tensors) => packed(tensors, (few) => native.broadcast(group, handlesOf(few), root)),
    gather: (own) => native.allGather(group, own.handle).map((handle) => new Tensor(handle)),
    gatherValues: <Value>(what: string, own: Value) => gatherValues(telling, what, own),
    barrier: () => native.barrier(group),
    computeOn: (device) => {
      const use = cardUse(gatherValues(telling, "device", memberDevice(device)));
      hasNccl = use?.backend === "nccl";
      if (hasNccl) connectCards(place, group, device);
      return use;
    },
    // A second communicator on the same card may wait for the first one's kernels, and they for it on another card.
    gradientSum: (parameters) =>
      hasNccl ? gradientSum(group, parameters, true) : gradientSum(openNumbered(place, `/gradients ${++sums}`), parameters, false),
    close: () => native.closeGroup(group),
  };
}

function openNumbered({ store, name, rank, size, address, timeout }: GroupPlace, suffix: string): number {
  return nativeCollectives().openGroup(store.number, name + suffix, rank, size, address, timeout);
}

function memberDevice(device: string): MemberDevice {
  const native = nativeCollectives();
  return { device, card: native.cardOf(device), nccl: device === "cpu" ? "" : native.ncclVersion() };
}

function connectCards({ store, name, timeout }: GroupPlace, group: number, device: string): void {
  try {
    nativeCollectives().useNccl(group, store.number, name, device, Math.min(timeout, NCCL_PATIENCE));
  } catch (cause) {
    throw new UserError(
      {
        where: device,
        what: "NCCL can't connect the workers' graphics cards",
        got: cause instanceof Error ? cause.message.replace(/\s*\n\s*/g, " ") : String(cause),
        remedy: "NCCL_DEBUG=INFO says more, NCCL_SOCKET_IFNAME names the network to use",
      },
      { cause },
    );
  }
}

function handlesOf(tensors: readonly Tensor[]): number[] {
  return tensors.map(({ handle }) => handle);
}

/** Bytes of a frame: its length in four, then a value, as all of a step's are. */
const FRAME_BYTES = 2048;

/**
 * As V8 writes values: with undefined, infinities and what is no number, which JSON would make a zero of. One round of frames; what doesn't fit is then copied from those that have it, one after the other. The price of a second round
 * is waiting: each wakes all members' threads several times, and a step has half a dozen of them.
 */
function gatherValues<Value>({ rank: own, exchange, copyFrom }: Telling, what: string, value: Value): Value[] {
  return scope(() => {
    const bytes = serialize([what, value]);
    if (bytes.length >= 2 ** 32) throw new RangeError(`${what}: ${bytes.length} bytes are too many to tell; below 4 GiB`);
    const frame = new Uint8Array(FRAME_BYTES);
    new DataView(frame.buffer).setUint32(0, bytes.length);
    frame.set(bytes.subarray(0, FRAME_BYTES - 4), 4);
    const frames = exchange(fromBytes(frame, "u8", [FRAME_BYTES])).toBytes();
    const lengths = Array.from({ length: frames.length / FRAME_BYTES }, (_, rank) =>
      new DataView(frames.buffer, frames.byteOffset).getUint32(rank * FRAME_BYTES),
    );
    const all = lengths.map((length, rank) => {
      const start = rank * FRAME_BYTES + 4;
      if (length <= FRAME_BYTES - 4) return frames.subarray(start, start + length);
      const told = fromBytes(rank === own ? bytes : new Uint8Array(length), "u8", [length]);
      copyFrom(rank, told);
      return told.toBytes();
    });
    return all.map((written, rank) => {
      const [whats, told] = deserialize(written) as [string, Value];
      if (whats !== what)
        throw new Error(`the members of the group are out of step: rank ${rank} tells its ${whats} where this one tells its ${what}`);
      return told;
    });
  });
}

interface Telling {
  readonly rank: number;
  /** Every member's bytes, one below the other. */
  readonly exchange: (own: Tensor) => Tensor;
  /** The bytes become those of that member, in place. */
  readonly copyFrom: (rank: number, bytes: Tensor) => void;
}

/**
 * Buckets are sent when their gradients are ready, and how that falls between the sums of two models differs from member to member: so each sum has a group of its own, or all are sent in turn.
 *
 * @param isInTurn the group is also others'
 */
function gradientSum(group: number, parameters: readonly Tensor[], isInTurn: boolean): GradientSum {
  const native = nativeCollectives();
  const [first] = parameters;
  if (first === undefined) throw new Error("gradients of no parameters");
  const reducer = native.openReducer(group, handlesOf(parameters), BUCKET_BYTES);
  return {
    isInTurn,
    prepare: (loss) => native.prepareReducer(reducer, [loss.handle]),
    finish: () => native.finishReducer(reducer),
    // The reducer needs a pass that reaches some parameter.
    nothing: () => first.reshape([-1]).narrow(0, 0, 1).mul(0).sum(),
    close: () => {
      native.closeReducer(reducer);
      if (!isInTurn) native.closeGroup(group);
    },
  };
}

/**
 * Back-propagates the last loss of a step for some models at once. Every member calls it at the same place of a step.
 *
 * @param loss undefined: this member has nothing to add
 * @param gradient of `loss`, where it is no scalar
 */
export function backwardSummed(sums: readonly GradientSum[], loss: Tensor | undefined, gradient?: Tensor): void {
  scope(() => {
    if (loss !== undefined && !(sums.length > 1 && sums.some(({ isInTurn }) => isInTurn))) {
      for (const sum of sums) sum.prepare(loss);
      loss.backward(gradient);
      for (const sum of sums) sum.finish();
      return;
    }
    // What this pass leaves is sent by the next ones. The price of sending in turn: nothing is sent while it runs.
    loss?.backward(gradient);
    for (const sum of sums) {
      const nothing = sum.nothing();
      sum.prepare(nothing);
      nothing.backward();
      sum.finish();
    }
  });
}
