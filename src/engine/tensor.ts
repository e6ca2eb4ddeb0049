/**
 * Tensors from JavaScript data and back. The operators are in operators.generated.ts. The trap: `fromMapped` shares memory with a file map, which must never be
 * written to; whatever is trained comes in through `fromBytes`, which copies.
 */
import { BYTES_PER_ELEMENT, type Dtype } from "./dtype.js";
import { native } from "./native.js";
import { ops, Tensor } from "./operators.generated.js";

export { ops, Tensor } from "./operators.generated.js";

type NumericArray = Float64Array | Float32Array | BigInt64Array | Int32Array | Uint8Array;

/** Numbers, or rows of numbers, to any depth; rows of one level have one length. */
export type Nested = readonly number[] | readonly Nested[];

function dtypeOf(data: NumericArray): Dtype {
  if (data instanceof Float64Array) return "f64";
  if (data instanceof Float32Array) return "f32";
  if (data instanceof BigInt64Array) return "i64";
  return data instanceof Int32Array ? "i32" : "u8";
}

/** The shape that the first entry of each level announces. */
function announcedShape(data: Nested): number[] {
  const shape: number[] = [];
  for (let level: Nested | number | undefined = data; typeof level === "object"; level = level[0]) shape.push(level.length);
  return shape;
}

function flattenNested(data: Nested, depth: number, shape: readonly number[], flat: number[]): void {
  if (shape[depth] !== data.length)
    throw new RangeError(`tensor: rows of one level have one length; expected ${shape[depth]}, got ${data.length}`);
  const isInnermost = depth === shape.length - 1;
  for (const entry of data) {
    if ((typeof entry === "number") !== isInnermost) throw new RangeError("tensor: numbers and rows of numbers are mixed in one level");
    if (typeof entry === "number") flat.push(entry);
    else flattenNested(entry, depth + 1, shape, flat);
  }
}

/**
 * A tensor with a copy of `data`: a typed array (its dtype, one dimension unless `shape` is given), a number, or nested lists (f32). `dtype` converts, `device` moves.
 *
 * @throws RangeError for ragged rows; OperatorError when the shape doesn't hold the data.
 */
export function tensor(
  data: NumericArray | Nested | number,
  options: { dtype?: Dtype; shape?: readonly number[]; device?: string } = {},
): Tensor {
  let made: Tensor;
  if (typeof data === "number") made = ops.full([], data, options.dtype ?? "f32");
  else if (Array.isArray(data)) {
    const shape = announcedShape(data as Nested);
    const flat: number[] = [];
    flattenNested(data as Nested, 0, shape, flat);
    made = fromBytes(new Float64Array(flat), "f64", options.shape ?? shape);
    made = converted(made, options.dtype ?? "f32");
  } else {
    const typed = data as NumericArray;
    made = converted(fromBytes(typed, dtypeOf(typed), options.shape ?? [typed.length]), options.dtype);
  }
  return options.device === undefined || options.device === "cpu" ? made : replaced(made, made.toDevice(options.device, made.dtype));
}

function converted(source: Tensor, dtype: Dtype | undefined): Tensor {
  return dtype === undefined || dtype === source.dtype ? source : replaced(source, source.toDtype(dtype));
}

function replaced(before: Tensor, after: Tensor): Tensor {
  before.dispose();
  return after;
}

/** A CPU tensor with a copy of raw little-endian bytes. @throws OperatorError when the shape doesn't hold the bytes. */
export function fromBytes(data: ArrayBufferView, dtype: Dtype, shape: readonly number[]): Tensor {
  return new Tensor(native().fromBytes(data, dtype, shape));
}

/** A CPU tensor over `data`'s own memory, which it keeps alive. For frozen data only: an in-place operator on a mapped file kills the process. */
export function fromMapped(data: ArrayBufferView, dtype: Dtype, shape: readonly number[]): Tensor {
  return new Tensor(native().fromMapped(data, dtype, shape));
}

/** Whole numbers as i64, the dtype of indices. */
export function indices(data: ArrayLike<number>, shape?: readonly number[], device = "cpu"): Tensor {
  const made = fromBytes(BigInt64Array.from(data as ArrayLike<number> & Iterable<number>, BigInt), "i64", shape ?? [data.length]);
  return device === "cpu" ? made : replaced(made, made.toDevice(device, "i64"));
}

/** The elements as f32 numbers, row-major (converted when of another dtype). */
export function toFloat32Array(source: Tensor): Float32Array {
  return new Float32Array(bytesAs(source, "f32").buffer);
}

/** The elements as f64 numbers, row-major. */
export function toFloat64Array(source: Tensor): Float64Array {
  return new Float64Array(bytesAs(source, "f64").buffer);
}

/** The elements as i32 numbers, row-major. Values beyond 2^31 wrap, as PyTorch's conversion does. */
export function toInt32Array(source: Tensor): Int32Array {
  return new Int32Array(bytesAs(source, "i32").buffer);
}

function bytesAs(source: Tensor, dtype: Dtype): Uint8Array<ArrayBuffer> {
  if (source.dtype === dtype) return source.toBytes() as Uint8Array<ArrayBuffer>;
  const other = source.toDtype(dtype);
  try {
    return other.toBytes() as Uint8Array<ArrayBuffer>;
  } finally {
    other.dispose();
  }
}

/** Gradients of the sum of `outputs` by `inputs`; undefined where an input isn't reached. @throws OperatorError */
export function gradients(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  options: { retainGraph?: boolean; createGraph?: boolean } = {},
): (Tensor | undefined)[] {
  const handles = native().grad(
    outputs.map((output) => output.handle),
    inputs.map((input) => input.handle),
    [],
    options.retainGraph ?? options.createGraph ?? false,
    options.createGraph ?? false,
  );
  return handles.map((handle) => (handle === 0 ? undefined : new Tensor(handle)));
}

/** Drops the accumulated gradients of `tensors`. */
export function zeroGrads(tensors: Iterable<Tensor>): void {
  native().zeroGrads([...tensors].map((entry) => entry.handle));
}

/** Bytes of a tensor of this dtype and shape. */
export function byteLength(dtype: Dtype, shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, BYTES_PER_ELEMENT[dtype]);
}
