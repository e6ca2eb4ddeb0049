/**
 * The element types of tensors and what each is in JavaScript. bf16 and f16 have no typed array: they leave the engine as f32.
 */
export const DTYPES = ["f64", "f32", "bf16", "f16", "i64", "i32", "u8", "bool"] as const;

export type Dtype = (typeof DTYPES)[number];

/** Bytes of one element. */
export const BYTES_PER_ELEMENT: Readonly<Record<Dtype, number>> = { f64: 8, f32: 4, bf16: 2, f16: 2, i64: 8, i32: 4, u8: 1, bool: 1 };

export function isFloating(dtype: Dtype): boolean {
  return dtype === "f64" || dtype === "f32" || dtype === "bf16" || dtype === "f16";
}
