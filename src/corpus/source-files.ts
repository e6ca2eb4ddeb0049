/**
 * Which files a corpus consists of, in an order that no file system decides. It lists; reading lines is source-lines.ts. The trap: names are
 * compared by code unit, not by locale, or two machines would number the passages differently.
 */
import { readdirSync, statSync } from "node:fs";
import path from "node:path";
import { UserError } from "../errors.js";
import { hashFile, hashJson } from "../storage/content-hash.js";
import { aboutFile } from "../storage/file-fault.js";

export interface SourceFiles {
  readonly files: string[];
  readonly ignored: string[];
  readonly bytes: number;
}

/**
 * `root` itself if it is a file, else every file below it whose name `accepts` says yes to; hidden files and folders are passed over.
 * @throws UserError if `root` is missing, or holds no such file; `kind` says in the message what was looked for.
 */
export function listSourceFiles(root: string, accepts: (name: string) => boolean, kind: string): SourceFiles {
  const stats = aboutFile(root, () => statSync(root));
  if (stats.isFile()) return { files: [root], ignored: [], bytes: stats.size };
  if (!stats.isDirectory()) throw new UserError({ where: root, what: "the corpus is neither a file nor a folder", expected: kind });
  const found: SourceFiles = { files: [], ignored: [], bytes: 0 };
  const bytes = walk(root, accepts, found);
  if (found.files.length === 0) {
    throw new UserError({
      where: root,
      what: "no file of a corpus in this folder",
      expected: kind,
      got: found.ignored.length === 0 ? "an empty folder" : `${found.ignored.length} other files, such as ${found.ignored[0] ?? ""}`,
      remedy: "give the folder that the extractor wrote",
    });
  }
  return { ...found, bytes };
}

/** sha256 over the contents of the files in reading order; their names don't count. Reads everything once. */
export function hashSourceFiles(files: readonly string[]): string {
  return hashJson(files.map((file) => hashFile(file)));
}

function walk(folder: string, accepts: (name: string) => boolean, found: SourceFiles): number {
  const names = aboutFile(folder, () => readdirSync(folder)).filter((name) => !name.startsWith("."));
  names.sort((a, b) => (a < b ? -1 : 1));
  let bytes = 0;
  for (const name of names) {
    const full = path.join(folder, name);
    const stats = aboutFile(full, () => statSync(full));
    if (stats.isDirectory()) {
      bytes += walk(full, accepts, found);
    } else if (stats.isFile() && accepts(name)) {
      found.files.push(full);
      bytes += stats.size;
    } else {
      found.ignored.push(full);
    }
  }
  return bytes;
}
