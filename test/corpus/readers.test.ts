/**
 * Proves that the readers see every article that wikiextractor or a JSONL writer wrote, cleaned once and no more, and that damaged input is one line with
 * file and line number. Alone: npx vitest run test/corpus/readers.test.ts
 */
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Article, ArticleSource } from "../../src/corpus/article.js";
import { unescapeEntities } from "../../src/corpus/html-entities.js";
import { openJsonl } from "../../src/corpus/jsonl-reader.js";
import { openWikiextractor, parseDocLine } from "../../src/corpus/wikiextractor-reader.js";
import { UserError } from "../../src/errors.js";
import { temporaryFolder } from "./temporary-folder.js";

const folder = temporaryFolder();

async function all(source: ArticleSource): Promise<Article[]> {
  const articles: Article[] = [];
  for await (const article of source.articles()) articles.push(article);
  return articles;
}

async function failure(source: () => ArticleSource): Promise<string> {
  try {
    await all(source());
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).not.toContain("\n");
    return (error as Error).message;
  }
  throw new Error("nothing was thrown");
}

const doc = (id: string, title: string, body: string): string =>
  `<doc id="${id}" url="https://example.org/?curid=${id}" title="${title}">\n${title}\n\n${body}\n\n</doc>\n`;

describe("wikiextractor", () => {
  it("reads plain, --json and gzip files in nested folders, in name order", async () => {
    folder.write("nested/AB/wiki_00", doc("3", "Third", "three"));
    folder.write("nested/AA/wiki_01.gz", gzipSync(doc("2", "Second", "two\nlines")));
    folder.write("nested/AA/wiki_00", doc("1", "First", "one"));
    folder.write(
      "nested/deep/er/still/wiki_07",
      `${JSON.stringify({ id: "4", revid: "9", url: "u", title: "Fourth", text: "four\nmore" })}\n`,
    );
    folder.write("nested/AA/notes.txt", "not of the corpus");
    const source = openWikiextractor(folder.join("nested"));
    expect(await all(source)).toEqual([
      { document: "1", title: "First", text: "one" },
      { document: "2", title: "Second", text: "two\nlines" },
      { document: "3", title: "Third", text: "three" },
      { document: "4", title: "Fourth", text: "four\nmore" },
    ]);
    expect(source.ignoredFiles).toEqual([folder.join("nested/AA/notes.txt")]);
    expect(source.bytesRead()).toBeGreaterThan(0);
    expect(source.bytesRead()).toBeLessThanOrEqual(source.bytes);
  });

  it("cozyrag 7: entities are undone once, in text and title; a<b but c>d stays; the title line is no passage", async () => {
    const title = "AT&amp;T &quot;Bell&quot; and a title that is far longer than thirty characters";
    folder.write("entities/wiki_00", doc("1", title, "a &lt; b but c &gt; d, a<b but c>d, &amp;lt; stays escaped once, R&amp;D"));
    expect(await all(openWikiextractor(folder.join("entities")))).toEqual([
      {
        document: "1",
        title: 'AT&T "Bell" and a title that is far longer than thirty characters',
        text: "a < b but c > d, a<b but c>d, &lt; stays escaped once, R&D",
      },
    ]);
  });

  it("cozyrag 7: an unterminated <doc> is reported with file and line, whether the file ends or the next one begins", async () => {
    const ends = folder.write("unterminated/wiki_00", `${doc("1", "One", "body")}<doc id="2" url="u" title="Two">\nTwo\n\nlost`);
    expect(await failure(() => openWikiextractor(ends))).toMatch(/wiki_00:7: this <doc> has no <\/doc>; .*the file ends/);
    const next = folder.write("unterminated/wiki_01", `<doc id="1" url="u" title="One">\nOne\n\nlost\n${doc("2", "Two", "body")}`);
    expect(await failure(() => openWikiextractor(next))).toMatch(/wiki_01:1: .*the next one begins in line 5/);
  });

  it("keeps body lines that look like a header but aren't one", async () => {
    const file = folder.write("alike/wiki_00", doc("1", "One", "<doc without attributes>\n<document>\n{not json}"));
    expect((await all(openWikiextractor(file)))[0]?.text).toBe("<doc without attributes>\n<document>\n{not json}");
  });

  it("parses the title greedily, with raw quotes and brackets inside", () => {
    expect(parseDocLine('<doc id="12" url="u" title="The "X" > "Y"">')).toEqual({ id: "12", title: 'The "X" > "Y"' });
    expect(parseDocLine('<doc id="12" revid="7" url="u?a=1&amp;b=2" title="">')).toEqual({ id: "12", title: "" });
    expect(parseDocLine("<doc >")).toBeUndefined();
  });

  it("skips and counts documents without a body and redirects", async () => {
    const file = folder.write(
      "empty/wiki_00",
      '<doc id="1" url="u" title="Gone">\n\n</doc>\n' +
        doc("2", "Only its title", "") +
        doc("3", "Moved", "#REDIRECT Elsewhere") +
        doc("4", "Here", "text"),
    );
    const source = openWikiextractor(file);
    expect((await all(source)).map(({ document }) => document)).toEqual(["4"]);
    expect(source.skipped).toEqual({ empty: 2, redirects: 1 });
  });

  it("takes the first line of --json text as text even where it equals the title", async () => {
    const file = folder.write("json/wiki_00", `${JSON.stringify({ id: 5, url: "u", title: "Echo", text: "Echo\nrest" })}\n`);
    expect(await all(openWikiextractor(file))).toEqual([{ document: "5", title: "Echo", text: "Echo\nrest" }]);
  });

  it("reads CRLF, a byte-order mark and lone surrogates", async () => {
    const file = folder.write("crlf/wiki_00", `\uFEFF${doc("1", "One", "a\nb").replaceAll("\n", "\r\n")}`);
    expect(await all(openWikiextractor(file))).toEqual([{ document: "1", title: "One", text: "a\nb" }]);
    const lone = folder.write("crlf/wiki_01", '{"id": "1", "title": "T", "text": "x\\ud800y"}\n');
    expect((await all(openWikiextractor(lone)))[0]?.text).toBe("x\uFFFDy");
  });

  it("says in one line what is wrong with missing, empty, foreign, truncated and wrongly encoded input", async () => {
    expect(await failure(() => openWikiextractor(folder.join("missing")))).toContain("missing");
    folder.write("foreign/readme.md", "hello");
    expect(await failure(() => openWikiextractor(folder.join("foreign")))).toContain("no file of a corpus in this folder");
    const text = folder.write("text/wiki_00", "\njust text\n");
    expect(await failure(() => openWikiextractor(text))).toMatch(/wiki_00:2: text outside a document/);
    const latin = folder.write("latin/wiki_00", Buffer.from('<doc id="1" url="u" title="T">\nT\n\ncaf\xe9\n</doc>\n', "latin1"));
    expect(await failure(() => openWikiextractor(latin))).toMatch(/wiki_00:4.*UTF-8/);
    const latinZipped = folder.write("latin/wiki_01.gz", gzipSync(Buffer.from('<doc id="1" url="u" title="T">\ncaf\xe9\n', "latin1")));
    expect(await failure(() => openWikiextractor(latinZipped))).toMatch(/wiki_01\.gz:2: not UTF-8/);
    const whole = gzipSync(doc("1", "One", "text ".repeat(1000)));
    const cut = folder.write("cut/wiki_00.gz", whole.subarray(0, whole.length - 20));
    expect(await failure(() => openWikiextractor(cut))).toMatch(/can't be decompressed/);
    const fake = folder.write("cut/wiki_01.gz", "no gzip at all");
    expect(await failure(() => openWikiextractor(fake))).toMatch(/can't be decompressed/);
    const bzip = folder.write("cut/wiki_02.bz2", "BZh9");
    expect(await failure(() => openWikiextractor(bzip))).toMatch(/bunzip2/);
    const json = folder.write("cut/wiki_03", '{"id": "1", "title": "T", "te');
    expect(await failure(() => openWikiextractor(json))).toMatch(/wiki_03:1: not JSON/);
    const typed = folder.write("cut/wiki_04", '{"id": "1", "title": 7, "text": "x"}');
    expect(await failure(() => openWikiextractor(typed))).toMatch(/wiki_04:1: not an article/);
  });

  it("property: what was escaped once comes back as it was", () => {
    const escape = (text: string): string =>
      text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;").replaceAll("'", "&#x27;");
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("&", "<", ">", '"', "'", "lt;", "amp;", "#39;", "a", "é", "😀") }),
        (text) => unescapeEntities(escape(text)) === text,
      ),
    );
    expect(unescapeEntities("&#0;&#xD800;&#1114112;&bogus;&amp")).toBe("&#0;&#xD800;&#1114112;&bogus;&amp");
    expect(unescapeEntities("&#233;&#x1F600;&apos;&nbsp;")).toBe("é😀'\u00A0");
  });
});

describe("JSON lines", () => {
  it("reads articles, the document being the field, else the title, else the id", async () => {
    const lines = [
      { id: "a_0_r1", title: "Alpha", text: "  first \n" },
      { id: 7, text: "no title" },
      { id: "x", title: "Beta", text: "second", document: 12 },
      { id: "y", title: "Beta", text: "   " },
    ];
    const file = folder.write("lines/corpus.jsonl", `${lines.map((line) => JSON.stringify(line)).join("\n\n")}\n`);
    const source = openJsonl(file);
    expect(await all(source)).toEqual([
      { document: "Alpha", title: "Alpha", text: "first" },
      { document: "7", title: "", text: "no title" },
      { document: "12", title: "Beta", text: "second" },
    ]);
    expect(source.skipped).toEqual({ empty: 1, redirects: 0 });
    folder.write("lines/more.jsonl.gz", gzipSync('{"id":"z","text":"zipped"}'));
    expect((await all(openJsonl(folder.join("lines")))).map(({ text }) => text)).toEqual(["first", "no title", "second", "zipped"]);
  });

  it("names file and line of what is not a passage", async () => {
    const cases: [string, RegExp][] = [
      ['{"id": "1", "text": "x"}\nnot json', /bad\.jsonl:2: not JSON/],
      ["[1]", /bad\.jsonl:1: not an object/],
      ["null", /bad\.jsonl:1: not an object/],
      ['{"id": "1", "title": "t"}', /bad\.jsonl:1: field 'text'/],
      ['{"title": "t", "text": "x"}', /bad\.jsonl:1: field 'id'/],
      ['{"id": "1", "title": ["t"], "text": "x"}', /field 'title'; expected text, got \["t"\]/],
    ];
    for (const [content, message] of cases) {
      const file = folder.write("bad.jsonl", content);
      expect(await failure(() => openJsonl(file))).toMatch(message);
    }
  });
});
