/** The batches of whole epochs, for tests. */
import type { BatchSource } from "../../src/training/batches.js";

/** All batches of an epoch. */
export function epochOf(source: BatchSource, epoch: number): number[][] {
  const batches: number[][] = [];
  for (let step = 0; ; step += 1) {
    const place = source.place(step);
    if (place.epoch > epoch) return batches;
    if (place.epoch === epoch) batches.push([...source.at(step)]);
  }
}

export const range = (size: number): number[] => Array.from({ length: size }, (_, index) => index);
export const sorted = (values: number[]): number[] => values.toSorted((a, b) => a - b);
