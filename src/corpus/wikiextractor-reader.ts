/**
 * Reads what wikiextractor writes: folders of `wiki_00` files, nested to any depth, plain (`<doc …>` blocks) or `--json`, gzip allowed.
 * It is not a wiki mark-up parser. The traps: text and titles are HTML-escaped, once; titles hold raw quotes, so the attribute is taken
 * greedily; redirects come through as documents without a body.
 */
import { UserError } from "../errors.js";
import { wellFormed } from "./article.js";
import type { Article, ArticleSource, SkippedArticles } from "./article.js";
import { unescapeEntities } from "./html-entities.js";
import { parseJsonObject } from "./json-object.js";
import { listSourceFiles } from "./source-files.js";
import { readSourceLines } from "./source-lines.js";

/** @throws UserError if the folder is missing or holds no `wiki_*` file. Reading throws on unterminated documents and on foreign lines. */
export function openWikiextractor(root: string): ArticleSource {
  const listed = listSourceFiles(
    root,
    (name) => /^wiki_\d+(\.gz|\.bz2)?$/.test(name),
    "wikiextractor's files (wiki_00, …), plain, --json or .gz",
  );
  const skipped: SkippedArticles = { empty: 0, redirects: 0 };
  let bytesRead = 0;
  async function* articles(): AsyncGenerator<Article> {
    for (const file of listed.files) {
      for await (const raw of readRawArticles(file, (bytes) => (bytesRead += bytes))) {
        const article = clean(raw, skipped);
        if (article !== undefined) yield article;
      }
    }
  }
  return {
    format: "wikiextractor",
    files: listed.files,
    ignoredFiles: listed.ignored,
    bytes: listed.bytes,
    skipped,
    bytesRead: () => Math.min(bytesRead, listed.bytes),
    articles,
  };
}

/** A document as it stands in the file, still escaped. */
interface RawArticle {
  id: string;
  title: string;
  body: string;
  /** Plain output repeats the title as the body's first line, --json doesn't. */
  titled: boolean;
}

async function* readRawArticles(file: string, passed: (bytes: number) => void): AsyncGenerator<RawArticle> {
  let open: { id: string; title: string; lines: string[]; number: number } | undefined;
  for await (const { line, number } of readSourceLines(file)) {
    passed(Buffer.byteLength(line) + 1);
    const header = parseDocLine(line);
    if (header !== undefined) {
      if (open !== undefined) throw unterminated(file, open.number, `the next one begins in line ${number}`);
      open = { ...header, lines: [], number };
    } else if (open !== undefined) {
      if (line.trim() === "</doc>") {
        yield { id: open.id, title: open.title, body: open.lines.join("\n"), titled: true };
        open = undefined;
      } else {
        open.lines.push(line);
      }
    } else if (line.startsWith("{")) {
      yield parseJsonArticle(line, `${file}:${number}`);
    } else if (line.trim() !== "") {
      throw new UserError({
        where: `${file}:${number}`,
        what: "text outside a document",
        expected: '<doc id="…" url="…" title="…"> or, of --json, an object a line',
        got: JSON.stringify(line.slice(0, 60)),
        remedy: "give the folder that wikiextractor wrote",
      });
    }
  }
  if (open !== undefined) throw unterminated(file, open.number, "the file ends");
}

function unterminated(file: string, number: number, got: string): UserError {
  return new UserError({
    where: `${file}:${number}`,
    what: "this <doc> has no </doc>",
    expected: "a line </doc>",
    got,
    remedy: "the file is cut off: extract it again, or delete the lines from here on",
  });
}

/**
 * The id and title of `<doc id="12" url="…" title="A "quoted" name">`, or undefined. The title runs to the last `">` of the line, whatever it
 * holds: other producers don't escape quotes.
 */
export function parseDocLine(line: string): { id: string; title: string } | undefined {
  const match = /^<doc\s+(.*?)\btitle="(.*)">\s*$/.exec(line);
  if (match === null) return undefined;
  const id = /\bid="([^"]*)"/.exec(match[1] ?? "")?.[1] ?? "";
  return { id, title: match[2] ?? "" };
}

function parseJsonArticle(line: string, where: string): RawArticle {
  const { id, title, text } = parseJsonObject(line, where, "{id, url, title, text}");
  if (typeof title !== "string" || typeof text !== "string" || (typeof id !== "string" && typeof id !== "number")) {
    throw new UserError({ where, what: "not an article", expected: "{id, url, title, text}", got: line.slice(0, 60) });
  }
  return { id: String(id), title, body: text, titled: false };
}

/** Unescapes once, drops the title line that plain output repeats, and counts what has no body. */
function clean(raw: RawArticle, skipped: SkippedArticles): Article | undefined {
  const title = wellFormed(unescapeEntities(raw.title)).trim();
  let text = wellFormed(unescapeEntities(raw.body)).trim();
  const firstEnd = text.indexOf("\n");
  const firstLine = (firstEnd < 0 ? text : text.slice(0, firstEnd)).trim();
  if (raw.titled && firstLine === title) text = firstEnd < 0 ? "" : text.slice(firstEnd + 1).trim();
  if (text === "") {
    skipped.empty += 1;
    return undefined;
  }
  if (/^#redirect\b[^\n]*$/i.test(text)) {
    skipped.redirects += 1;
    return undefined;
  }
  const document = raw.id.trim() === "" ? title : raw.id.trim();
  return { document, title, text };
}
