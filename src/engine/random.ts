/**
 * libtorch's generators: used for initial weights only. Whatever must not depend on how work is split (dropout, batches, renaming) is a counter-based function of
 * seed and step instead, never a draw from here.
 */
import { native } from "./native.js";
import { Tensor } from "./operators.generated.js";

/** Seeds the device's generator. `seed` from 0 to 2^53-1. */
export function manualSeed(seed: number, device = "cpu"): void {
  native().manualSeed(seed, device);
}

/** The generator's state as a u8 tensor, for a checkpoint. */
export function generatorState(device = "cpu"): Tensor {
  return new Tensor(native().generatorState(device));
}

/** Puts a state from {@link generatorState} back. */
export function setGeneratorState(state: Tensor, device = "cpu"): void {
  native().setGeneratorState(state.handle, device);
}
