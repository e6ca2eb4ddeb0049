/**
 * `manifest.json` of a passage store: which files belong to it, how many rows each has, and what made it. Not the data itself. The trap: the
 * manifest comes from outside, so a shard's name is checked before it becomes a path, and counts before anything is looked up by them.
 */
import path from "node:path";
import { UserError } from "../errors.js";
import { readJson } from "../storage/json-file.js";
import type { SkippedArticles } from "./article.js";
import type { ChunkFacts } from "./chunk-paragraphs.js";
import type { ChunkOptions } from "./chunk-options.js";

/** The columns of a shard. */
export const COLUMNS = ["id", "title", "text", "document"] as const;
/** The place in the article; null where the maker of the passage didn't know it. Stores of format version 1 don't have them. */
export const PLACES = ["start", "end"] as const;

export const MANIFEST_FILE = "manifest.json";
const FORMAT = "tandem-passages";
/** Version 2 added the passages' places in their articles; stores of version 1 are read as they are. */
const VERSION = 2;
const READABLE: readonly unknown[] = [1, VERSION];

export interface StoreFile {
  /** A plain name inside the store's folder. */
  file: string;
  bytes: number;
  /** sha256 of the file. */
  hash: string;
}

export interface ShardFile extends StoreFile {
  rows: number;
}

/** Where the passages come from: contents only, no paths, so that the same corpus gives the same manifest everywhere. */
export interface SourceFacts {
  format: string;
  files: number;
  bytes: number;
  /** sha256 over the contents of the files in reading order. */
  hash: string;
  ignoredFiles: number;
  skipped: SkippedArticles;
  /** The first so many articles only, if a limit was set. */
  limit: number | null;
}

export interface PassageManifest {
  format: typeof FORMAT;
  version: 1 | typeof VERSION;
  /** sha256 over the ids in row order: names the corpus in the provenance of indexes. */
  hash: string;
  passages: number;
  documents: number;
  duplicates: number;
  shards: ShardFile[];
  /** Pairs (row, first 32 bits of the id) sorted by the latter, little-endian u32: finds a row by its id. */
  rowsById: StoreFile;
  source: SourceFacts;
  chunking: ChunkOptions & { tokenizer: string };
  text: ChunkFacts;
}

/** Fills in format and version. */
export function makeManifest(facts: Omit<PassageManifest, "format" | "version">): PassageManifest {
  return { format: FORMAT, version: VERSION, ...facts };
}

/** @throws UserError naming the manifest if it is missing, of another format or version, or says something that can't be. */
export function readManifest(folder: string): PassageManifest {
  const where = path.join(folder, MANIFEST_FILE);
  const value = readJson(where) as Partial<PassageManifest> | null;
  if (typeof value !== "object" || value === null || value.format !== FORMAT) {
    throw broken(where, "not the manifest of a passage store", `"format": "${FORMAT}"`, JSON.stringify(value).slice(0, 60));
  }
  if (!READABLE.includes(value.version)) throw broken(where, "another format version", READABLE.join(" or "), String(value.version));
  const shards = value.shards;
  if (!Array.isArray(shards) || typeof value.hash !== "string") throw broken(where, "incomplete", "hash and shards", "not both");
  for (const shard of shards) {
    checkStoreFile(shard, where);
    if (!isCount(shard.rows)) throw broken(where, `rows of ${shard.file}`, "a whole number", String(shard.rows));
  }
  checkStoreFile(value.rowsById, where);
  const rows = shards.reduce((sum, shard) => sum + shard.rows, 0);
  if (value.passages !== rows) throw broken(where, "the shards' rows don't sum up", String(value.passages), String(rows));
  if (value.rowsById.bytes !== rows * 8) throw broken(where, "size of the id table", `${rows * 8} bytes`, String(value.rowsById.bytes));
  if (typeof value.chunking?.titleTemplate !== "string")
    throw broken(where, "chunking.titleTemplate", "text", typeof value.chunking?.titleTemplate);
  return value as PassageManifest;
}

/** What every complaint about a store says: stores are made, never mended. */
export function broken(where: string, what: string, expected: string, got: string): UserError {
  return new UserError({ where, what, expected, got, remedy: "build the passage store again: tandem corpus" });
}

function checkStoreFile(file: StoreFile | undefined, where: string): asserts file is StoreFile {
  const name: unknown = file?.file;
  if (typeof name !== "string" || name !== path.basename(name) || name === "." || name === ".." || name === "" || name.includes("\\")) {
    throw broken(where, "a file outside the store", "a plain file name", JSON.stringify(name));
  }
  if (!isCount(file?.bytes)) throw broken(where, `bytes of ${name}`, "a whole number", String(file?.bytes));
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
