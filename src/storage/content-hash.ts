/**
 * SHA-256 names for content: bytes, files and JSON values, always 64 hexadecimal digits.
 * The trap is in JSON: `hashJson` sorts keys, so that two objects that say the same have one hash, and refuses what JSON can't hold
 * (NaN, undefined, a Map) instead of hashing a stand-in.
 */
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { aboutFile } from "./file-fault.js";

const chunkBytes = 1024 * 1024;

/** SHA-256 of bytes, or of a text's UTF-8. */
export function hashBytes(data: Uint8Array | string): string {
  return createHash("sha256").update(data).digest("hex");
}

/**
 * SHA-256 of a file's content, read in pieces of 1 MiB.
 *
 * @throws UserError when the file can't be read
 */
export function hashFile(path: string): string {
  return aboutFile(path, () => {
    const hash = createHash("sha256");
    const chunk = Buffer.allocUnsafe(chunkBytes);
    const descriptor = openSync(path, "r");
    try {
      for (;;) {
        const count = readSync(descriptor, chunk, 0, chunkBytes, null);
        if (count === 0) return hash.digest("hex");
        hash.update(chunk.subarray(0, count));
      }
    } finally {
      closeSync(descriptor);
    }
  });
}

/**
 * SHA-256 of a JSON value, the same for any order of its objects' keys. Keys whose value is undefined are left out, as in JSON.
 *
 * @throws Error for what JSON can't hold: a bug of the caller's
 */
export function hashJson(value: unknown): string {
  return hashBytes(canonicalJson(value));
}

/** JSON without white space, keys in code-unit order. */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === "string" || typeof value === "boolean") return JSON.stringify(value);
  if (typeof value === "number" && Number.isFinite(value)) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value === "object" && isPlain(value)) {
    const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
    entries.sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0));
    return `{${entries.map(([key, entry]) => `${JSON.stringify(key)}:${canonicalJson(entry)}`).join(",")}}`;
  }
  const kind = typeof value === "number" ? String(value) : Object.prototype.toString.call(value);
  throw new Error(`not a JSON value: ${kind}`);
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
