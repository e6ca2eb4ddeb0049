/** The reference values and gradients of the losses, computed in float64 by PyTorch; for tests. */
import fs from "node:fs";
import path from "node:path";
import { expect } from "vitest";
import type { Tensor } from "../../src/engine/tensor.js";
import { expectGradient, relativeError, valueAndGradients, type Array64 } from "./central-differences.js";

export interface GoldenCase {
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly value: number;
  readonly grads: Readonly<Record<string, unknown>>;
  readonly [setting: string]: unknown;
}

/** The set named by `TANDEM_GOLDENS`, else the committed one. */
export function lossGoldens(): { temperature: number; generator_temperature: number; cases: Readonly<Record<string, GoldenCase>> } {
  const folder = process.env["TANDEM_GOLDENS"] ?? path.join(import.meta.dirname, "../fixtures/goldens");
  return JSON.parse(fs.readFileSync(path.join(folder, "losses.expected.json"), "utf8")) as ReturnType<typeof lossGoldens>;
}

/** Nested lists as one flat array with its shape. */
export function array64(nested: unknown): Array64 {
  const shape: number[] = [];
  for (let level: unknown = nested; Array.isArray(level); level = (level as unknown[])[0]) shape.push(level.length);
  return { values: Float64Array.from((nested as unknown[]).flat(Infinity) as number[]), shape };
}

/** Expects the case's value and gradients within 1e-9 (relative), and the gradients that central differences find. @param loss of the case's inputs, in their order */
export function expectCase({ inputs, value, grads }: GoldenCase, loss: (...tensors: Tensor[]) => Tensor): void {
  const names = Object.keys(inputs);
  const given = names.map((name) => array64(inputs[name]));
  const found = valueAndGradients(given, loss);
  expect(Math.abs(found.value - value) / Math.abs(value)).toBeLessThan(1e-9);
  for (const [index, name] of names.entries())
    expect(relativeError(found.gradients[index]!, array64(grads[name]).values)).toBeLessThan(1e-9);
  expectGradient(given, loss);
}
