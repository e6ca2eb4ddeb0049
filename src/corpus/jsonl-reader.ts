/**
 * Reads a corpus in JSON lines `{id, title, text, document?}`: whole articles, or passages that somebody cut before. Not the question reader.
 * The trap: many passage files have one id a passage, so the document is the `document` field, else the title, else the id; with the id alone
 * a split by document would tear articles apart and leak.
 */
import { UserError } from "../errors.js";
import { wellFormed } from "./article.js";
import type { Article, ArticleSource, SkippedArticles } from "./article.js";
import { parseJsonObject } from "./json-object.js";
import { listSourceFiles, type SourceFiles } from "./source-files.js";
import { readSourceLines } from "./source-lines.js";

/** A line of such a file, its own id kept: question sets refer to it. */
export interface JsonlRecord extends Article {
  sourceId: string;
}

/** `root` itself if it is a file, else the `*.jsonl` and `*.jsonl.gz` below it, in the order in which they are read. @throws UserError if there is none */
export function jsonlFiles(root: string): SourceFiles {
  return listSourceFiles(root, (name) => /\.(jsonl|ndjson)(\.gz|\.bz2)?$/.test(name), "JSON lines (*.jsonl, *.jsonl.gz)");
}

/** One file (any name), or a folder of `*.jsonl` and `*.jsonl.gz`. @throws UserError if there is none; reading throws on the first bad line. */
export function openJsonl(root: string): ArticleSource {
  const listed = jsonlFiles(root);
  const skipped: SkippedArticles = { empty: 0, redirects: 0 };
  let bytesRead = 0;
  async function* articles(): AsyncGenerator<Article> {
    for (const file of listed.files) {
      for await (const { line, number } of readSourceLines(file)) {
        bytesRead += Buffer.byteLength(line) + 1;
        if (line.trim() === "") continue;
        const { document, title, text } = parseJsonlRecord(line, `${file}:${number}`);
        if (text === "") skipped.empty += 1;
        else yield { document, title, text };
      }
    }
  }
  return {
    format: "jsonl",
    files: listed.files,
    ignoredFiles: listed.ignored,
    bytes: listed.bytes,
    skipped,
    bytesRead: () => Math.min(bytesRead, listed.bytes),
    articles,
  };
}

/** Parses one line. Text and title are trimmed. @throws UserError naming `where` (file and line) for anything but `{id, title?, text, document?}`. */
export function parseJsonlRecord(line: string, where: string): JsonlRecord {
  const record = parseJsonObject(line, where, "{id, title, text}");
  const id = textField(record, "id", where);
  const title = textField(record, "title", where, "");
  const text = textField(record, "text", where);
  const document = textField(record, "document", where, title === "" ? id : title);
  return { sourceId: id, document, title, text };
}

function textField(record: Record<string, unknown>, name: string, where: string, missing?: string): string {
  const value = record[name];
  if (typeof value === "string") return wellFormed(value).trim();
  if (typeof value === "number" && (name === "id" || name === "document")) return String(value);
  if ((value === undefined || value === null) && missing !== undefined) return missing;
  throw new UserError({
    where,
    what: `field '${name}'`,
    expected: "text",
    got: value === undefined ? `nothing (keys ${Object.keys(record).join(", ")})` : JSON.stringify(value).slice(0, 40),
    remedy: "a corpus line is {id, title, text}",
  });
}
