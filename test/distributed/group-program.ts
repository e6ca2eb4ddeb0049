/** Every call of a process group, in each process of it: what process-group.test.ts compares. */
import { backwardSummed, type ProcessGroup } from "../../src/distributed/process-group.js";
import { ops, tensor, toFloat64Array, type Tensor } from "../../src/engine/tensor.js";

export interface GroupFindings {
  readonly sum: readonly number[];
  readonly sumOfStrided: readonly number[];
  readonly fromFirst: readonly number[];
  readonly gathered: readonly (readonly number[])[];
  readonly values: readonly { readonly own: string; readonly not: readonly (number | undefined)[] }[];
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
  group.copyFromFirst([first]);
  const gathered = group.gather(tensor([own, -own], { dtype: "f64" })).map(values);
  return {
    values: group.gatherValues({ own: "\u00e9".repeat(group.rank), not: [NaN, -Infinity, undefined] }),
    sum: values(sum),
    sumOfStrided: values(strided.contiguous()),
    fromFirst: values(first),
    gathered,
    gradients: gradientsOf(group),
  };
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
