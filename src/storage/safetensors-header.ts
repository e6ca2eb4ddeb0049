/**
 * The header of a safetensors file: parsed from bytes that nobody vouches for, and written as the reference library writes it.
 * Layout: u64 N (little-endian), N bytes of JSON, then the tensors' bytes, which tile the rest without holes or overlaps.
 * Reference: huggingface/safetensors, `tensor.rs`. The trap: numbers in the header are hostile until they are checked against the file's size.
 */
import { UserError } from "../errors.js";
import { expectObject, parseJson } from "./json-file.js";
import { duplicateKey } from "./json-keys.js";

/** Bits of an element, in the reference's order: files hold the tensors in descending order of this list, then by name. */
const dtypeBits = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

/** The names of element types in a safetensors file. */
export type SafetensorsDtype = keyof typeof dtypeBits;

const dtypeOrder = new Map(Object.keys(dtypeBits).map((name, place) => [name, place]));

/** The reference refuses longer headers, and so do we: a length field must not decide how much is read. */
export const longestHeader = 100_000_000;

/** One tensor of the header: where its bytes lie, counted from the end of the header. */
export interface HeaderEntry {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: number[];
  readonly begin: number;
  readonly end: number;
}

/** Bytes that an array's start must be a multiple of to be read without a copy. */
export function elementBytes(dtype: SafetensorsDtype): number {
  return Math.max(1, dtypeBits[dtype] / 8);
}

/** Bytes of a tensor, or undefined when the shape is no shape, overflows, or ends within a byte. */
export function tensorBytes(dtype: SafetensorsDtype, shape: readonly unknown[]): number | undefined {
  let bits: number = dtypeBits[dtype];
  for (const size of shape) {
    if (!isCount(size)) return undefined;
    bits *= size;
    if (!Number.isSafeInteger(bits)) return undefined;
  }
  return bits % 8 === 0 ? bits / 8 : undefined;
}

/**
 * The entries in the order of their bytes, checked: known types, sizes that follow from the shapes, bytes from 0 to `available` tiled exactly.
 *
 * @param json the N header bytes
 * @param available how many bytes follow the header
 * @throws UserError naming file and tensor
 */
export function parseHeader(
  json: Uint8Array,
  available: number,
  where: string,
): { entries: HeaderEntry[]; metadata: Record<string, string> } {
  const fields = headerObject(json, where);
  const metadata = metadataOf(fields["__metadata__"], where);
  const entries: HeaderEntry[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (name !== "__metadata__") entries.push(entryOf(name, value, where));
  }
  entries.sort((left, right) => left.begin - right.begin || left.end - right.end);
  let covered = 0;
  for (const { name, begin, end } of entries) {
    if (begin !== covered) {
      const what = begin < covered ? "overlaps the tensor before it" : "leaves a hole before it";
      throw corrupt(`${where}, tensor ${JSON.stringify(name)}`, what, `data from byte ${covered}`, `byte ${begin}`);
    }
    covered = end;
  }
  if (covered > available) throw corrupt(where, "is cut short", `${covered} bytes of tensors`, `${available}`);
  if (covered < available) throw corrupt(where, "holds bytes that belong to no tensor", `${covered} bytes of tensors`, `${available}`);
  return { entries, metadata };
}

/** Orders as the reference writer does: by type, largest alignment first, then by the name's UTF-8 bytes. */
export function writingOrder(left: { name: string; dtype: SafetensorsDtype }, right: { name: string; dtype: SafetensorsDtype }): number {
  const byType = (dtypeOrder.get(right.dtype) ?? 0) - (dtypeOrder.get(left.dtype) ?? 0);
  return byType !== 0 ? byType : Buffer.compare(Buffer.from(left.name), Buffer.from(right.name));
}

/** Length field and JSON, padded with spaces to a multiple of 8. */
export function formatHeader(entries: readonly HeaderEntry[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const pairs = entries.map(({ name, dtype, shape, begin, end }) => {
    return `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`;
  });
  const about = `"__metadata__":${JSON.stringify(metadata)}`;
  const json = Buffer.from(`{${[...(Object.keys(metadata).length === 0 ? [] : [about]), ...pairs].join(",")}}`);
  const padded = Math.ceil(json.length / 8) * 8;
  if (padded > longestHeader) throw new Error("the header of the safetensors file would be too long");
  const header = Buffer.alloc(8 + padded, " ");
  header.writeBigUInt64LE(BigInt(padded));
  json.copy(header, 8);
  return header;
}

function headerObject(json: Uint8Array, where: string): Record<string, unknown> {
  const place = `${where}, header`;
  if (json[0] !== 0x7b) throw corrupt(place, "does not begin with '{'", "a safetensors header");
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(json);
  } catch {
    throw corrupt(place, "is not UTF-8");
  }
  const value = expectObject(parseJson(text, place), place);
  const twice = duplicateKey(text);
  if (twice !== undefined) throw corrupt(place, `holds the key ${JSON.stringify(twice)} twice`);
  return value;
}

function metadataOf(value: unknown, where: string): Record<string, string> {
  if (value === undefined) return {};
  const place = `${where}, __metadata__`;
  const metadata: Record<string, string> = {};
  for (const [key, entry] of Object.entries(expectObject(value, place))) {
    if (typeof entry !== "string") throw corrupt(`${place}, ${JSON.stringify(key)}`, "is not a text");
    Object.defineProperty(metadata, key, { value: entry, enumerable: true, configurable: true, writable: true });
  }
  return metadata;
}

function entryOf(name: string, value: unknown, where: string): HeaderEntry {
  const place = `${where}, tensor ${JSON.stringify(name)}`;
  const { dtype, shape, data_offsets: offsets } = expectObject(value, place);
  if (typeof dtype !== "string" || !isDtype(dtype)) {
    throw corrupt(place, "has an element type that is not known", Object.keys(dtypeBits).join(" "), excerptOf(dtype));
  }
  if (!Array.isArray(shape)) throw corrupt(place, "has no shape", "a list of sizes", excerptOf(shape));
  const bytes = tensorBytes(dtype, shape);
  if (bytes === undefined)
    throw corrupt(place, "has an impossible shape", `sizes from 0 on whose bytes can be counted in ${dtype}`, excerptOf(shape));
  const [begin, end] = Array.isArray(offsets) && offsets.length === 2 ? (offsets as unknown[]) : [];
  if (!isCount(begin) || !isCount(end) || end < begin) {
    throw corrupt(place, "has wrong data_offsets", "[begin, end] with 0 ≤ begin ≤ end", excerptOf(offsets));
  }
  if (end - begin !== bytes) {
    throw corrupt(place, `has data_offsets that don't fit its shape`, `${bytes} bytes for ${dtype} ${excerptOf(shape)}`, `${end - begin}`);
  }
  return { name, dtype, shape: shape as number[], begin, end };
}

function isDtype(name: string): name is SafetensorsDtype {
  return dtypeOrder.has(name);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function excerptOf(value: unknown): string {
  return value === undefined ? "nothing" : JSON.stringify(value).slice(0, 80);
}

/** A file that can't be what it says it is. */
export function corrupt(where: string, what: string, expected?: string, got?: string): UserError {
  return new UserError({
    where,
    what,
    ...(expected === undefined ? {} : { expected }),
    ...(got === undefined ? {} : { got }),
    remedy: "make or fetch the file again",
  });
}
