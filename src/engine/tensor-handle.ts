/**
 * A tensor's identity and everything of it that operator schemas don't cover: facts, bytes, gradients, lifetime. Not the public class: `Tensor`
 * (operators.generated.ts) adds the operators. The trap: a handle is freed by the scope that made it; using it later is an error that says so.
 */
import type { Dtype } from "./dtype.js";
import { native, type Handle } from "./native.js";
import { span } from "./profiler.js";

let leakAlarm: FinalizationRegistry<Handle> | undefined;
let leaked = 0;

/** Tensors handed out by an outermost scope that the collector found before anybody disposed of them: each is a leak until the process ends. */
export function leakedTensors(): number {
  return leaked;
}

/** Sounds when `tensor`, which no scope owns any more, is collected without having been disposed of. */
export function watchForLeak(tensor: TensorHandle): void {
  leakAlarm ??= new FinalizationRegistry((handle) => {
    if (!native().isLive(handle)) return;
    leaked++;
    if (leaked === 1)
      process.emitWarning("a tensor outside every scope was dropped without dispose(); its memory stays taken", "TensorLeak");
  });
  leakAlarm.register(tensor, tensor.handle, tensor);
}

export abstract class TensorHandle {
  #shape: readonly number[] | undefined;
  #dtype: Dtype | undefined;

  constructor(readonly handle: Handle) {}

  /** Sizes, outermost first; [] for a scalar. In-place operators never change it. */
  get shape(): readonly number[] {
    this.#shape ??= native().shape(this.handle);
    return this.#shape;
  }

  get dtype(): Dtype {
    this.#dtype ??= native().dtype(this.handle) as Dtype;
    return this.#dtype;
  }

  /** `cpu` or `cuda:N`. */
  get device(): string {
    return native().device(this.handle);
  }

  /** Number of elements. */
  get numel(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }

  /** The size of dimension `d`; negative counts from the end. @throws RangeError when there is no such dimension. */
  size(d: number): number {
    const size = this.shape.at(d);
    if (size === undefined || d < -this.shape.length)
      throw new RangeError(`size: no dimension ${d} in a tensor of shape [${this.shape.join(",")}]`);
    return size;
  }

  /** The one element as a number. @throws OperatorError when there are more. */
  item(): number {
    return native().item(this.handle);
  }

  /** Raw little-endian bytes, row-major, copied to the CPU. */
  toBytes(): Uint8Array {
    return new Uint8Array(native().toBytes(this.handle));
  }

  /** Frees the memory now. Later use is an error. */
  dispose(): void {
    leakAlarm?.unregister(this);
    native().dispose(this.handle);
  }

  /** Takes the tensor out of its scope: it lives until {@link dispose}. */
  keep(): this {
    native().keep(this.handle);
    return this;
  }

  get isLive(): boolean {
    return native().isLive(this.handle);
  }

  get requiresGrad(): boolean {
    return native().requiresGrad(this.handle);
  }

  /** Turns the recording of a gradient on or off. @throws OperatorError when turned on for integers. */
  setRequiresGrad(flag = true): this {
    native().setRequiresGrad(this.handle, flag);
    return this;
  }

  /** ∂this/∂leaf added to every leaf's `grad`. `gradient` (this tensor's shape) is needed unless this is a scalar. */
  backward(gradient?: TensorHandle, retainGraph = false): void {
    span("backward", () => native().backward(this.handle, gradient?.handle ?? 0, retainGraph));
  }

  /** Replaces the accumulated gradient; `undefined` drops it. */
  setGrad(gradient: TensorHandle | undefined): void {
    native().setGrad(this.handle, gradient?.handle ?? 0);
  }
}
