/**
 * What MLflow takes: names of metrics and parameters, lengths of values, sizes of batches. Everything that is sent passes here, so that no batch is refused for its form. The traps: MLflow counts code points and a
 * JavaScript string UTF-16 units; and the old file store keeps a metric as a file, so `loss` and `loss/answer` can't both be names.
 * Source: MLflow 3, `mlflow/utils/validation.py`; the REST API reference's request limits.
 */
import { hashBytes } from "../storage/content-hash.js";

const LONGEST_KEY = 250;
const LONGEST_PARAMETER = 6000;
const LONGEST_TAG = 5000;

export const MOST_METRICS = 1000;
export const MOST_PARAMETERS = 100;
export const MOST_TAGS = 100;
/** The server takes a body of 1 MB; the run's id and the brackets need some of it. */
export const MOST_BYTES = 900_000;

/**
 * A name that MLflow takes, the same for the same name and different for different ones: `recall@1` becomes `recall_at_1`, and a name in which anything else had to change ends with a piece of its hash.
 */
export function serverKey(name: string): string {
  const plain = name.replaceAll("@", "_at_");
  const parts = plain.replace(/[^A-Za-z0-9_\-. :/]/g, "_").split("/");
  const allowed = parts.filter((part) => part !== "" && part !== "." && part !== "..").join("/");
  if (allowed === plain && allowed.length <= LONGEST_KEY && allowed !== "") return allowed;
  return `${allowed.slice(0, LONGEST_KEY - 9)}_${hashBytes(name).slice(0, 8)}`;
}

/** A parameter's value cut to what the server keeps, and whether it was. */
export function parameterValue(value: string): { value: string; isCut: boolean } {
  const kept = cut(value, LONGEST_PARAMETER);
  return { value: kept, isCut: kept.length < value.length };
}

export function tagValue(value: string): string {
  return cut(value, LONGEST_TAG);
}

/** The items in their order, cut into batches of at most so many and of at most {@link MOST_BYTES}. */
export function batches<Item>(items: readonly Item[], most: number): Item[][] {
  const made: Item[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const item of items) {
    const size = Buffer.byteLength(JSON.stringify(item)) + 1;
    const last = made.at(-1);
    if (last === undefined || last.length >= most || bytes + size > MOST_BYTES) {
      made.push([item]);
      bytes = size;
    } else {
      last.push(item);
      bytes += size;
    }
  }
  return made;
}

function cut(text: string, longest: number): string {
  if (text.length <= longest) return text;
  // Half a character at the cut would be no text any more.
  const last = text.charCodeAt(longest - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? longest - 1 : longest);
}
