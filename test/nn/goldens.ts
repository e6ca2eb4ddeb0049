/** Where the golden files of the reference libraries are, and how tests read them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fromBytes, toFloat64Array, type Tensor } from "../../src/engine/tensor.js";
import { readSafetensors } from "../../src/storage/safetensors.js";

/** `$TANDEM_GOLDENS`, else the set in the repository. */
export const goldens = process.env["TANDEM_GOLDENS"] ?? fileURLToPath(new URL("../fixtures/goldens", import.meta.url));

export function goldenJson(name: string): unknown {
  return JSON.parse(readFileSync(join(goldens, name), "utf8"));
}

/** The tensors of a golden file, by name; they live outside every scope. */
export function goldenTensors(name: string): Map<string, Tensor> {
  const types = { F32: "f32", F64: "f64", I64: "i64" } as const;
  const read = [...readSafetensors(join(goldens, name)).tensors].map(([key, { dtype, shape, data }]) => {
    if (!(dtype in types)) throw new Error(`${name}: ${key} is ${dtype}`);
    return [key, fromBytes(data, types[dtype as keyof typeof types], shape).keep()] as const;
  });
  return new Map(read);
}

/** ‖actual − expected‖ / ‖expected‖ over all elements. */
export function relativeError(actual: Tensor, expected: Tensor): number {
  const [a, b] = [toFloat64Array(actual), toFloat64Array(expected)];
  if (a.length !== b.length) throw new Error(`shapes [${actual.shape.join()}] and [${expected.shape.join()}] differ`);
  let difference = 0;
  let size = 0;
  for (let i = 0; i < a.length; i++) {
    difference += (a[i]! - b[i]!) ** 2;
    size += b[i]! ** 2;
  }
  return Math.sqrt(difference) / Math.sqrt(size);
}

/** max |actual − expected|. */
export function largestDifference(actual: Tensor, expected: Tensor): number {
  const [a, b] = [toFloat64Array(actual), toFloat64Array(expected)];
  if (a.length !== b.length) throw new Error(`shapes [${actual.shape.join()}] and [${expected.shape.join()}] differ`);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}
