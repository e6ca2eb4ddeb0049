/**
 * safetensors files: tensors by name, read as views into a memory map and written in the reference library's order, byte for byte.
 * Sharded folders are in sharded-safetensors.ts. Pickles are refused: opening one runs whatever code it holds.
 * The trap: the views are read-only memory. Weights that are trained must be copied out of them.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { AtomicFile } from "./atomic-file.js";
import { UserError } from "../errors.js";
import { aboutFile } from "./file-fault.js";
import { describeForeignFormat } from "./foreign-format.js";
import { pythonCommand } from "./python-command.js";
import { longestView, mapFile, mapRange } from "./memory-map.js";
import {
  corrupt,
  elementBytes,
  formatHeader,
  type HeaderEntry,
  longestHeader,
  parseHeader,
  type SafetensorsDtype,
  tensorBytes,
  writingOrder,
} from "./safetensors-header.js";

export type { SafetensorsDtype };

/** Row-major elements, little-endian. `data` starts at a multiple of its element's size, so typed arrays can be laid over it. */
export interface StoredTensor {
  readonly dtype: SafetensorsDtype;
  readonly shape: number[];
  readonly data: Uint8Array;
}

/** What a file or a sharded folder holds. */
export interface StoredTensors {
  readonly tensors: Map<string, StoredTensor>;
  readonly metadata: Record<string, string>;
}

/** A tensor to be written. Bytes that are costly to hold all at once can be given as a function, called once in the file's order. */
export interface TensorToStore {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly data: Uint8Array | (() => Uint8Array);
}

/**
 * Maps a safetensors file. Nothing is read but the header; a tensor that isn't aligned in the file is copied.
 *
 * @throws UserError naming file and tensor: missing, truncated, a pickle, a header that lies about the file (see `parseHeader`)
 */
export function readSafetensors(path: string): StoredTensors {
  const { json, size } = headerBytes(path);
  const start = 8 + json.length;
  const { entries, metadata } = parseHeader(json, size - start, path);
  // One map serves all tensors unless the file is longer than one view can be.
  const whole = size <= longestView ? mapFile(path) : undefined;
  if (whole !== undefined && whole.length !== size) throw corrupt(path, "changed while it was read");
  const tensors = new Map<string, StoredTensor>();
  for (const { name, dtype, shape, begin, end } of entries) {
    const data = whole?.subarray(start + begin, start + end) ?? mapRange(path, start + begin, end - begin);
    // Maps begin at pages, so the place in the file tells the alignment in memory.
    const aligned = (start + begin) % elementBytes(dtype) === 0;
    tensors.set(name, { dtype, shape, data: aligned ? data : data.slice() });
  }
  return { tensors, metadata };
}

/**
 * Writes a safetensors file at once or not at all, as the reference library does: header padded to 8 bytes, tensors by descending type, then
 * name. The metadata `format: pt` is added, since transformers 4 refuses metadata without it.
 *
 * @throws UserError when the file can't be written
 * @throws Error when a name stands twice or bytes don't fit a shape: a bug of the caller's
 */
export function writeSafetensors(path: string, tensors: Iterable<TensorToStore>, metadata: Readonly<Record<string, string>> = {}): void {
  const ordered = [...tensors].sort(writingOrder);
  const header = formatHeader(plan(ordered), { format: "pt", ...metadata });
  const file = new AtomicFile(path);
  try {
    file.write(header);
    for (const { name, dtype, shape, data } of ordered) {
      const bytes = typeof data === "function" ? data() : data;
      if (bytes.length !== tensorBytes(dtype, shape))
        throw new Error(`tensor '${name}': ${String(bytes.length)} bytes don't fit its shape`);
      file.write(bytes);
    }
    file.commit();
  } finally {
    file.abort();
  }
}

function plan(ordered: readonly TensorToStore[]): HeaderEntry[] {
  const names = new Set<string>(["__metadata__"]);
  let end = 0;
  return ordered.map(({ name, dtype, shape }) => {
    const bytes = tensorBytes(dtype, shape);
    if (bytes === undefined) throw new Error(`tensor '${name}': [${shape.join(", ")}] is not a shape of ${dtype}`);
    if (names.has(name)) throw new Error(`tensor '${name}': the name is taken`);
    if (/\p{Surrogate}/u.test(name)) throw new Error(`tensor ${JSON.stringify(name)}: the name is not Unicode text`);
    names.add(name);
    const begin = end;
    end += bytes;
    return { name, dtype, shape: [...shape], begin, end };
  });
}

/** The JSON of the header, read (not mapped) after its length has been checked against the file's. */
function headerBytes(path: string): { json: Uint8Array; size: number } {
  return aboutFile(path, () => {
    const descriptor = openSync(path, "r");
    try {
      const status = fstatSync(descriptor);
      if (status.isDirectory()) throw Object.assign(new Error("a folder"), { code: "EISDIR" });
      if (!status.isFile()) throw Object.assign(new Error("a device"), { code: "ENOTREG" });
      const head = Buffer.alloc(Math.min(64, status.size));
      readSync(descriptor, head, 0, head.length, 0);
      refuseForeign(path, head);
      if (head.length < 8) throw corrupt(path, "is not a safetensors file", "at least 8 bytes", `${head.length}`);
      const length = head.readBigUInt64LE();
      if (length > BigInt(longestHeader))
        throw corrupt(path, "is not a safetensors file", `a header of at most ${longestHeader} bytes`, String(length));
      const json = Buffer.alloc(Math.min(Number(length), status.size - 8));
      if (json.length < Number(length) || readSync(descriptor, json, 0, json.length, 8) < json.length) {
        throw corrupt(path, "is cut short", `a header of ${length} bytes`, `${json.length}`);
      }
      return { json, size: status.size };
    } finally {
      closeSync(descriptor);
    }
  });
}

function refuseForeign(path: string, head: Uint8Array): void {
  const foreign = describeForeignFormat(head);
  if (foreign === undefined) return;
  const fetch = foreign.name.includes("Git LFS") ? foreign.textRemedy : "name a safetensors file";
  const remedy = foreign.pickle ? pickleRemedy(path) : fetch;
  throw new UserError({ where: path, what: "is not a safetensors file", got: foreign.name, remedy });
}

/** The command that turns a file of PyTorch's into ours, without running code from it. */
export function pickleRemedy(path: string): string {
  const target = path.replace(/\.(bin|pt|pth|ckpt|safetensors|pkl)$/, "") + ".converted.safetensors";
  const load = `torch.load(${JSON.stringify(path)}, map_location="cpu", weights_only=True)`;
  const save = `save_file({k: v.clone().contiguous() for k, v in ${load}.items()}, ${JSON.stringify(target)}, {"format": "pt"})`;
  return `convert it: ${pythonCommand(`import torch; from safetensors.torch import save_file; ${save}`)}`;
}
