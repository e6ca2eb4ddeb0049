/**
 * The part of Apache Arrow that reads, from the one minified file of its package: the package's 140 modules take 0.1 to 0.2 s to load, which `tandem ask` would pay at every start. Writing is passage-shards.ts, with
 * the package as it comes. The trap: the two forms of the package are different classes, so what one made must never be handed to the other.
 */
import { createRequire } from "node:module";
import type { DataType as Types, tableFromIPC as read } from "apache-arrow";

interface Reader {
  readonly DataType: typeof Types;
  readonly tableFromIPC: typeof read;
}

export const { DataType, tableFromIPC } = createRequire(import.meta.url)("apache-arrow/Arrow.es2015.min") as Reader;
