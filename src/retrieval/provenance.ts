/**
 * What an index was made from, kept beside it as `provenance.json`, and the refusal of an index that was made from something else. File times and names prove nothing; only content
 * hashes do. The trap: the encoder's hash covers weights, tokenizer, pooling and prefixes together, since each of them changes every vector.
 */
import path from "node:path";
import { UserError } from "../errors.js";
import { writeFileAtomic } from "../storage/atomic-write.js";
import { canonicalJson, hashJson } from "../storage/content-hash.js";
import { readJson } from "../storage/json-file.js";
import type { FaissShape } from "./faiss-settings.js";
import { METRICS, type Metric } from "./index-contract.js";

/** Raised when the meaning of an index folder's files changes. */
export const INDEX_FORMAT = 1;

/** What the vectors are a function of. */
export interface Provenance {
  readonly format: number;
  /** Content hash of the encoder: weights, tokenizer, pooling, normalisation, lengths, prefixes. */
  readonly encoder: string;
  /** Content hash of the passage store. */
  readonly corpus: string;
  /** The template that joins title and text. */
  readonly template: string;
  readonly metric: Metric;
  readonly dimension: number;
  readonly size: number;
  /** How FAISS's index was built; absent where search is exact. */
  readonly faiss?: FaissShape | undefined;
}

/** The name of an index folder: the same content has the same name. */
export function indexName(provenance: Provenance): string {
  return hashJson(provenance).slice(0, 16);
}

export function writeProvenance(folder: string, provenance: Provenance): void {
  writeFileAtomic(path.join(folder, "provenance.json"), `${JSON.stringify(provenance, null, 2)}\n`);
}

/** @throws UserError when the file is missing, no JSON, or lacks a field */
export function readProvenance(folder: string): Provenance {
  const file = path.join(folder, "provenance.json");
  const value = readJson(file) as Partial<Record<keyof Provenance, unknown>> | null;
  const texts = ["encoder", "corpus", "template"] as const;
  const counts = ["format", "dimension", "size"] as const;
  const sound =
    typeof value === "object" &&
    value !== null &&
    texts.every((name) => typeof value[name] === "string") &&
    counts.every((name) => Number.isSafeInteger(value[name])) &&
    (METRICS as readonly unknown[]).includes(value.metric) &&
    (value.faiss === undefined || isShape(value.faiss));
  if (!sound) throw new UserError({ where: file, what: "is no provenance of an index", remedy: "rebuild it: tandem index" });
  return value as Provenance;
}

function isShape(value: unknown): value is FaissShape {
  if (typeof value !== "object" || value === null) return false;
  const { factory, build, trainSample, sampleSeed, reproducible } = value as Partial<Record<keyof FaissShape, unknown>>;
  const counts = [trainSample ?? 1, sampleSeed];
  return (
    typeof factory === "string" && typeof build === "string" && counts.every(Number.isSafeInteger) && typeof reproducible === "boolean"
  );
}

/**
 * Refuses an index that doesn't belong to this encoder and this corpus.
 *
 * @param rebuild the command that mends it
 * @throws UserError naming what differs
 */
export function requireProvenance(folder: string, expected: Partial<Provenance>, rebuild: string): Provenance {
  const found = readProvenance(folder);
  const meaning: Readonly<Record<keyof Provenance, string>> = {
    format: "has another format",
    encoder: "was built with another retriever: it is stale",
    corpus: "was built from another corpus",
    template: "was built with another title template",
    metric: "has another metric",
    dimension: "has another dimension",
    size: "has another number of passages",
    faiss: "is searched in another way",
  };
  for (const name of Object.keys(meaning) as (keyof Provenance)[]) {
    // A full provenance without FAISS says that search is exact; a partial one says nothing of what it leaves out.
    if (!Object.hasOwn(expected, name) || inWords(expected[name]) === inWords(found[name])) continue;
    throw new UserError({
      where: folder,
      what: `the index ${meaning[name]}`,
      expected: `${name} ${inWords(expected[name])}`,
      got: inWords(found[name]),
      remedy: `rebuild it: ${rebuild}`,
    });
  }
  return found;
}

function inWords(value: Provenance[keyof Provenance]): string {
  if (typeof value !== "object") return value === undefined ? "none: exact search" : String(value);
  return canonicalJson(value);
}
