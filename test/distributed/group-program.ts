/** Every call of a process group, in each process of it, on the processor or on graphics cards: what process-group.test.ts and process-group-cards.test.ts compare. */
import type { CardUse } from "../../src/distributed/graphics-cards.js";
import { backwardSummed, type ProcessGroup } from "../../src/distributed/process-group.js";
import { setDevice } from "../../src/engine/info.js";
import { ops, tensor, toFloat64Array, type Tensor } from "../../src/engine/tensor.js";

/** `cuda`: each rank on the card of its number. */
export type ProgramDevice = "cpu" | "cuda" | "cuda:0";

export interface GroupFindings {
  readonly cards: CardUse | undefined;
  readonly sum: readonly number[];
  readonly sumOfStrided: readonly number[];
  readonly fromFirst: readonly number[];
  readonly fromLast: readonly (readonly number[])[];
  readonly gathered: readonly (readonly number[])[];
  readonly values: readonly { readonly own: string; readonly not: readonly (number | undefined)[] }[];
  /** Lengths of the texts that all were told, where one member's are about as long as a frame, and far longer. */
  readonly long: readonly (readonly number[])[];
  /** What each is told when the first gathers something else than the others. */
  readonly outOfStep: string;
  readonly gradients: Readonly<Record<string, readonly (number | undefined)[]>>;
  /** Of one loss over two models, whose sums are sent while it is back-propagated or one after the other. */
  readonly twoModels: Readonly<Record<"together" | "inTurn", readonly (readonly number[])[]>>;
}

const values = (source: Tensor): number[] => [...toFloat64Array(source)];

export default function program(group: ProcessGroup, input: ProgramDevice | null = null): GroupFindings {
  const device = input === "cuda" ? `cuda:${group.rank}` : (input ?? "cpu");
  setDevice(device);
  const cards = group.computeOn(device);
  const own = group.rank + 1;
  const sum = tensor([[own, 10 * own]], { dtype: "f64", device });
  const strided = tensor(
    [
      [own, 2 * own],
      [3 * own, 4 * own],
    ],
    { dtype: "f64", device },
  ).transpose(0, 1);
  group.sum([sum, strided]);
  const first = tensor([own], { dtype: "f64", device });
  group.copyFrom(0, [first]);
  const gathered = group.gather(tensor([own, -own], { dtype: "f64", device })).map(values);
  return {
    cards,
    values: group.gatherValues("values", { own: "\u00e9".repeat(group.rank), not: [NaN, -Infinity, undefined] }),
    long: longTexts(group),
    sum: values(sum),
    sumOfStrided: values(strided.contiguous()),
    fromFirst: values(first),
    fromLast: fromLast(group, device),
    gathered,
    outOfStep: outOfStep(group),
    gradients: gradientsOf(group, device),
    twoModels: { together: twoModels(group, device, false), inTurn: twoModels(group, device, true) },
  };
}

/** From what fits into a frame of 2,048 bytes with its own few to what doesn't, and 100,000. */
export const LONG = [...Array.from({ length: 60 }, (_, i) => 1990 + i), 100_000];

function longTexts(group: ProcessGroup): number[][] {
  return LONG.map((length) => {
    const last = group.rank === group.size - 1;
    const told = group.gatherValues("texts", (last ? "b" : "a").repeat(last ? length : 3));
    return told.map((text, rank) => (new Set(text).has(rank === group.size - 1 ? "b" : "a") ? text.length : -1));
  });
}

function outOfStep(group: ProcessGroup): string {
  try {
    group.gatherValues(group.rank === 0 ? "counts" : "terms", {});
    return "nothing";
  } catch (error) {
    return String(error);
  }
}

/** Tensors of every kind that are packed together, and one that is too large for it: of that the least and the greatest element. */
function fromLast(group: ProcessGroup, device: string): number[][] {
  const own = group.rank + 1;
  const small = tensor([own, 1 / own], { dtype: "f64", device });
  const strided = ops.full([2, 3], own, "f64", device).transpose(0, 1);
  const [weight, other] = [own, 2 * own].map((value) => tensor([value, value], { dtype: "f32", device }).setRequiresGrad(true));
  const large = ops.full([300, 300], own, "f32", device);
  const empty = ops.zeros([0], "f32", device);
  if (weight === undefined || other === undefined) throw new Error("two weights");
  group.copyFrom(group.size - 1, [small, large, weight, empty, strided, other]);
  return [small, strided.contiguous().reshape([-1]), weight.detach(), other.detach(), empty, large.amin(), large.amax()].map(values);
}

/** y = Σ rank-dependent factor · parameter, so that every sum over ranks is known. */
function gradientsOf(group: ProcessGroup, device: string): Record<string, (number | undefined)[]> {
  const [used, second, unused] = [1, 2, 3].map((value) => tensor([value], { dtype: "f64", device }).setRequiresGrad(true));
  if (used === undefined || second === undefined || unused === undefined) throw new Error("three parameters");
  const parameters = [used, second, unused];
  const summing = group.gradientSum(parameters);
  const factor = group.rank + 1;
  const read = (): (number | undefined)[] => {
    const found = parameters.map(({ grad }) => grad?.item());
    for (const parameter of parameters) parameter.setGrad(undefined);
    return found;
  };
  const found: Record<string, (number | undefined)[]> = {};
  backwardSummed(
    [summing],
    used
      .mul(factor)
      .add(second.mul(10 * factor))
      .sum(),
  );
  found["once"] = read();
  // A pass of its own before the one that sends.
  used.mul(factor).sum().backward();
  backwardSummed([summing], second.mul(factor).sum());
  found["in two passes"] = read();
  backwardSummed([summing], group.rank === 0 ? undefined : used.mul(factor).sum());
  found["the first has nothing"] = read();
  backwardSummed([summing], used.mul(factor), ops.full([1], 5, "f64", device));
  found["with a gradient"] = read();
  backwardSummed([summing], undefined);
  found["nobody has anything"] = read();
  summing.close();
  return found;
}

/** y = rank-dependent factor · first model · second model, with more elements than the first bucket holds; of each gradient its least and greatest element, in a step to which the first has nothing to add, and in one to which all add. */
function twoModels(group: ProcessGroup, device: string, isInTurn: boolean): number[][] {
  const models = [2, 3].map((value) => ops.full([400, 400], value, "f64", device).setRequiresGrad(true));
  const [first, second] = models;
  if (first === undefined || second === undefined) throw new Error("two models");
  const sums = models.map((model) => group.gradientSum([model]));
  // As NCCL asks for it, on whatever carries the sums here.
  const sent = sums.map((sum) => ({ ...sum, isInTurn: isInTurn || sum.isInTurn }));
  const loss = (): Tensor =>
    first
      .mul(second)
      .mul(group.rank + 1)
      .sum();
  const read = (): number[][] =>
    models.map((model) => {
      const { grad } = model;
      const found = grad === undefined ? [] : [grad.amin().item(), grad.amax().item()];
      model.setGrad(undefined);
      return found;
    });
  backwardSummed(sent, group.rank === 0 ? undefined : loss());
  const found = read();
  backwardSummed(sent, loss());
  found.push(...read());
  for (const sum of sums) sum.close();
  return found;
}
