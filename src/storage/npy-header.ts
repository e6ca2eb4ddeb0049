/**
 * The header of a `.npy` file: `\x93NUMPY`, version, length, then `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }` padded so that
 * the elements begin at a multiple of 64. Of Python's syntax only these three keys in this form are read; nothing is evaluated.
 * The trap: the shape is somebody else's claim; whoever maps the file compares it with the file's length first.
 */
import { UserError } from "../errors.js";
import { describeForeignFormat } from "./foreign-format.js";
import { pythonCommand } from "./python-command.js";

/** Element types by NumPy's names. */
export type NpyDtype = "float32" | "float64" | "int64" | "int32";

/** Bytes of an element. */
export const npyElementBytes: Readonly<Record<NpyDtype, number>> = { float32: 4, float64: 8, int64: 8, int32: 4 };

const descriptors: Readonly<Record<NpyDtype, string>> = { float32: "<f4", float64: "<f8", int64: "<i8", int32: "<i4" };

/** The longest preamble that is read: magic, lengths and a header of 10,000 characters, NumPy's own limit. */
export const preambleBytes = 12 + 10_000;

/** Fixed, so that a header with more rows fits over one with none. */
const writtenBytes = 128;

/** What a header says. */
export interface NpyHeader {
  readonly dtype: NpyDtype;
  readonly shape: number[];
  readonly dataOffset: number;
}

/**
 * Parses the first bytes of a file.
 *
 * @throws UserError when they are no header of ours: wrong magic or version, cut short, objects, column order, big-endian, another type
 */
export function parseNpyHeader(head: Uint8Array, where: string): NpyHeader {
  if (!Buffer.from(head.subarray(0, 6)).equals(Buffer.from("\x93NUMPY", "latin1"))) {
    const foreign = describeForeignFormat(head);
    throw fault(where, "is not a .npy file", "the magic \\x93NUMPY", foreign?.name ?? "other bytes");
  }
  const { text, dataOffset } = headerText(head, where);
  const fields = /^\s*\{(.*)\}\s*$/s.exec(text)?.[1];
  const descr = fields === undefined ? undefined : field(fields, "descr", "(\"[^\"]*\"|'[^']*'|\\[.*\\])");
  const order = fields === undefined ? undefined : field(fields, "fortran_order", "(True|False)");
  const shape = fields === undefined ? undefined : field(fields, "shape", "\\(([\\dL,\\s]*)\\)");
  if (descr === undefined || order === undefined || shape === undefined) {
    throw fault(where, "has a header that can't be read", "descr, fortran_order and shape", JSON.stringify(text.trim().slice(0, 100)));
  }
  const sizes = shapeOf(shape, where);
  if (order === "True" && sizes.filter((size) => size !== 1).length > 1) {
    const remedy = saveAgain(where, "np.ascontiguousarray(a)");
    throw fault(where, "is in column order (fortran_order)", "row order", undefined, remedy);
  }
  return { dtype: dtypeOf(descr.replaceAll(/["']/g, ""), where), shape: sizes, dataOffset };
}

/** A header of 128 bytes, as NumPy's own version 1.0. */
export function formatNpyHeader(dtype: NpyDtype, shape: readonly number[]): Uint8Array {
  const sizes = shape.length === 1 ? `(${String(shape[0])},)` : `(${shape.join(", ")})`;
  const text = `{'descr': '${descriptors[dtype]}', 'fortran_order': False, 'shape': ${sizes}, }`;
  const header = Buffer.alloc(writtenBytes, " ");
  if (10 + text.length >= writtenBytes) throw new Error(`a shape with ${String(shape.length)} axes doesn't fit the header`);
  header.write("\x93NUMPY\x01\x00", "latin1");
  header.writeUInt16LE(writtenBytes - 10, 8);
  header.write(text, 10, "latin1");
  header.write("\n", writtenBytes - 1, "latin1");
  return header;
}

function headerText(head: Uint8Array, where: string): { text: string; dataOffset: number } {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  const major = bytes[6] ?? 0;
  const lead = major === 1 ? 10 : 12;
  if (bytes.length < lead) throw fault(where, "is cut short", "a header", `${bytes.length} bytes`);
  if (major < 1 || major > 3) throw fault(where, "is of a version that isn't known", "1 to 3", `${major}`);
  const length = major === 1 ? bytes.readUInt16LE(8) : bytes.readUInt32LE(8);
  if (length > preambleBytes - 12) throw fault(where, "has a header that is too long", `at most ${preambleBytes - 12} bytes`, `${length}`);
  if (bytes.length < lead + length) throw fault(where, "is cut short", `a header of ${length} bytes`, `${bytes.length - lead}`);
  return { text: bytes.toString("latin1", lead, lead + length), dataOffset: lead + length };
}

/** The value of a key that stands exactly once. */
function field(fields: string, key: string, value: string): string | undefined {
  const matches = [...fields.matchAll(new RegExp(`(?:^|,)\\s*['"]${key}['"]\\s*:\\s*${value}\\s*(?=,|$)`, "g"))];
  return matches.length === 1 ? matches[0]?.[1] : undefined;
}

function shapeOf(text: string, where: string): number[] {
  const items = text.split(",").map((item) => item.trim());
  if (items[items.length - 1] === "") items.pop();
  return items.map((item) => {
    const size = /^\d+L?$/.test(item) ? Number.parseInt(item, 10) : Number.NaN;
    if (!Number.isSafeInteger(size)) throw fault(where, "has an impossible shape", "sizes from 0 on", `(${text.slice(0, 80)})`);
    return size;
  });
}

function dtypeOf(descr: string, where: string): NpyDtype {
  for (const [dtype, descriptor] of Object.entries(descriptors)) {
    if (descr === descriptor) return dtype as NpyDtype;
  }
  if (descr.includes("O")) {
    const remedy = "save it again from the program that made it, with a number type: np.save(path, array.astype('float32'))";
    throw fault(where, "holds Python objects, which are a pickle and are never opened", "numbers", `'${descr}'`, remedy);
  }
  const remedy = saveAgain(where, 'a.astype("<f4")');
  throw fault(where, "has an element type that isn't read", Object.keys(descriptors).join(", "), `'${descr.slice(0, 40)}'`, remedy);
}

function saveAgain(path: string, expression: string): string {
  const load = `p = ${JSON.stringify(path)}; a = np.load(p); np.save(p, ${expression})`;
  return `save it again: ${pythonCommand(`import numpy as np; ${load}`)}`;
}

function fault(where: string, what: string, expected: string, got?: string, remedy = "make or fetch it again"): UserError {
  return new UserError({ where, what, expected, ...(got === undefined ? {} : { got }), remedy });
}
