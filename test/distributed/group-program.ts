/** Every call of a process group, in each process of it: what process-group.test.ts compares. */
import { backwardSummed, type ProcessGroup } from "../../src/distributed/process-group.js";
import { ops, tensor, toFloat64Array, type Tensor } from "../../src/engine/tensor.js";

export interface GroupFindings {
  readonly sum: readonly number[];
  readonly sumOfStrided: readonly number[];
  readonly fromFirst: readonly number[];
  readonly fromLast: readonly (readonly number[])[];
  readonly gathered: readonly (readonly number[])[];
  readonly values: readonly { readonly own: string; readonly not: readonly (number | undefined)[] }[];
  /** What each is told when the first gathers something else than the others. */
  readonly outOfStep: string;
  readonly gradients: Readonly<Record<string, readonly (number | undefined)[]>>;
}

const values = (source: Tensor): number[] => [...toFloat64Array(source)];

export default function program(group: ProcessGroup): GroupFindings {
  const own = group.rank + 1;
  const sum = tensor([[own, 10 * own]], { dtype: "f64" });
  const strided = tensor(
    [
      [own, 2 * own],
      [3 * own, 4 * own],
    ],
    { dtype: "f64" },
  ).transpose(0, 1);
  group.sum([sum, strided]);
  const first = tensor([own], { dtype: "f64" });
  group.copyFrom(0, [first]);
  const gathered = group.gather(tensor([own, -own], { dtype: "f64" })).map(values);
  return {
    values: group.gatherValues("values", { own: "\u00e9".repeat(group.rank), not: [NaN, -Infinity, undefined] }),
    sum: values(sum),
    sumOfStrided: values(strided.contiguous()),
    fromFirst: values(first),
    fromLast: fromLast(group),
    gathered,
    outOfStep: outOfStep(group),
    gradients: gradientsOf(group),
  };
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
function fromLast(group: ProcessGroup): number[][] {
  const own = group.rank + 1;
  const small = tensor([own, 1 / own], { dtype: "f64" });
  const strided = ops.full([2, 3], own, "f64").transpose(0, 1);
  const [weight, other] = [own, 2 * own].map((value) => tensor([value, value], { dtype: "f32" }).setRequiresGrad(true));
  const large = ops.full([300, 300], own, "f32");
  const empty = ops.zeros([0], "f32");
  if (weight === undefined || other === undefined) throw new Error("two weights");
  group.copyFrom(group.size - 1, [small, large, weight, empty, strided, other]);
  return [small, strided.contiguous().reshape([-1]), weight.detach(), other.detach(), empty, large.amin(), large.amax()].map(values);
}

/** y = Σ rank-dependent factor · parameter, so that every sum over ranks is known. */
function gradientsOf(group: ProcessGroup): Record<string, (number | undefined)[]> {
  const [used, second, unused] = [1, 2, 3].map((value) => tensor([value], { dtype: "f64" }).setRequiresGrad(true));
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
  backwardSummed([summing], used.mul(factor), ops.full([1], 5, "f64"));
  found["with a gradient"] = read();
  backwardSummed([summing], undefined);
  found["nobody has anything"] = read();
  summing.close();
  return found;
}
