/**
 * Proves that building a corpus gives the same bytes for any number of threads, drops and counts duplicates in order, leaves nothing half-written,
 * and reads the real SQuAD folder as its makers cut it. Alone: npx vitest run test/corpus/build-corpus.test.ts
 */
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildCorpus, corpusKey } from "../../src/corpus/build-corpus.js";
import type { BuildCorpusOptions, CorpusProgress, CorpusReport } from "../../src/corpus/build-corpus.js";
import { orderedMap } from "../../src/corpus/ordered-map.js";
import { passageText } from "../../src/corpus/passage.js";
import { PassageStore } from "../../src/corpus/passage-store.js";
import { UserError } from "../../src/errors.js";
import { hashFile } from "../../src/storage/content-hash.js";
import { Tokenizer } from "../../src/text/tokenizer.js";
import { compileSources } from "./compiled-sources.js";
import type { CompiledSources } from "./compiled-sources.js";
import { temporaryFolder } from "./temporary-folder.js";
import { writeTinyTokenizer } from "./tiny-tokenizer.js";

const folder = temporaryFolder();
const chunk = { split: "line", maxTokens: 64, minCharacters: 30, titleTemplate: "{title}. {text}" } as const;
let tokenizer = "";
const source = { format: "wikiextractor" as const, path: folder.join("extracted") };

/** 420 articles in 6 files, every seventh a copy of an earlier one, some paragraphs over-long. */
function writeExtracted(): void {
  for (let file = 0; file < 6; file++) {
    let content = "";
    for (let i = file * 70; i < file * 70 + 70; i++) {
      const number = i % 7 === 6 ? i - 5 : i;
      const body = [
        `Town ${number} is in the north of the river and the city was with it.`,
        "Notes.",
        `The people of town ${number} said so in the year ${1000 + number}. `.repeat((number % 5) * 3 + 1).trim(),
      ];
      content += `<doc id="${i}" url="u" title="Town ${number}">\nTown ${number}\n\n${body.join("\n")}\n\n</doc>\n`;
    }
    folder.write(`extracted/A${file % 2}/wiki_0${file}`, content);
  }
}

const options = (output: string, changed: Partial<BuildCorpusOptions> = {}): BuildCorpusOptions => ({
  source,
  chunk,
  tokenizer,
  output: folder.join(output),
  threads: 0,
  shardBytes: 65_536,
  ...changed,
});

const hashes = (output: string): Record<string, string> =>
  Object.fromEntries(readdirSync(folder.join(output)).map((file) => [file, hashFile(folder.join(output, file))]));

const failure = async (changed: Partial<BuildCorpusOptions>): Promise<string> => {
  const error: unknown = await buildCorpus(options("failed", changed)).then(
    () => new Error("nothing was thrown"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(UserError);
  expect((error as Error).message).not.toContain("\n");
  expect(readdirSync(folder.path).filter((name) => name.includes("failed"))).toEqual([]);
  return (error as Error).message;
};

beforeAll(() => {
  tokenizer = writeTinyTokenizer(folder.join("tokenizer"));
  writeExtracted();
});

describe("buildCorpus", () => {
  let report: CorpusReport;
  const progress: CorpusProgress[] = [];
  beforeAll(async () => {
    report = await buildCorpus(options("built", { onProgress: (step) => progress.push(step) }));
  });

  it("writes every paragraph within the encoder's maximum, and reports what it did", () => {
    const store = PassageStore.open(folder.join("built"));
    const library = Tokenizer.fromFolder(tokenizer);
    for (const passage of store) expect(library.encode(passageText(passage)).length).toBeLessThanOrEqual(64);
    expect(report).toMatchObject({ hash: store.hash, passages: store.size, execution: "in-process", threads: 0 });
    expect(report.documents).toBe(new Set([...store].map(({ document }) => document)).size);
    expect(report.text).toMatchObject({ articles: 420, paragraphs: 1260, mergedParagraphs: 420, truncatedPassages: 0 });
    expect(report.text.splitParagraphs).toBeGreaterThan(100);
    expect(report.source).toMatchObject({ format: "wikiextractor", files: 6, skipped: { empty: 0, redirects: 0 }, limit: null });
    const { folder: where, seconds, execution, threads, ...same } = report;
    expect(where).toBe(folder.join("built"));
    expect([seconds > 0, execution, threads]).toEqual([true, "in-process", 0]);
    expect(store.manifest).toMatchObject(same);
    store.verify();
  });

  it("cozyrag 8: of passages with the same title and text the first in order stays, and the rest are counted", () => {
    const store = PassageStore.open(folder.join("built"));
    const bodies = [...store].map(({ title, text }) => JSON.stringify([title, text]));
    expect(new Set(bodies).size).toBe(bodies.length);
    expect(report.duplicates).toBeGreaterThanOrEqual(60);
    const copied = [...store].filter(({ title }) => title === "Town 8");
    expect(new Set(copied.map(({ document }) => document))).toEqual(new Set(["8"]));
  });

  it("tells how far it is", () => {
    expect(progress.length).toBeGreaterThan(1);
    const last = progress.at(-1)!;
    expect(last).toMatchObject({ articles: 420, passages: report.passages, bytes: report.source.bytes });
    expect(last.bytesRead).toBe(last.bytes);
    for (let i = 1; i < progress.length; i++) expect(progress[i]!.bytesRead).toBeGreaterThanOrEqual(progress[i - 1]!.bytesRead);
  });

  it("stops after the limit", async () => {
    const limited = await buildCorpus(options("limited", { source: { ...source, limit: 10 } }));
    expect(limited.text.articles).toBe(10);
    expect(limited.source.limit).toBe(10);
  });

  it("gives the same ids whatever the order of the files", async () => {
    const articles = [3, 1, 2].map((id) => ({ id, title: `T${id}`, text: `Something about number ${id} that is long enough.` }));
    const ids: string[][] = [];
    for (const order of [articles, [...articles].reverse()]) {
      const file = folder.write("order.jsonl", order.map((line) => JSON.stringify(line)).join("\n"));
      await buildCorpus(options("order", { source: { format: "jsonl", path: file } }));
      ids.push([...PassageStore.open(folder.join("order"))].map(({ id }) => id));
    }
    expect(ids[0]).not.toEqual(ids[1]);
    expect([...ids[0]!].sort()).toEqual([...ids[1]!].sort());
  });

  it("names a store by its sources' contents, chunking, tokenizer and limit", () => {
    const key = corpusKey(options("x"));
    expect(corpusKey(options("y", { threads: 3 }))).toBe(key);
    const others = [
      { chunk: { ...chunk, maxTokens: 65 } },
      { source: { ...source, limit: 3 } },
      { source: { ...source, path: folder.join("extracted/A0") } },
      { chunk: { ...chunk, titleTemplate: "{title}: {text}" } },
    ];
    for (const other of others) expect(corpusKey({ ...options("x"), ...other })).not.toBe(key);
  });
});

describe("threads", () => {
  let compiled: CompiledSources;
  beforeAll(() => {
    compiled = compileSources("build-corpus");
  });
  afterAll(() => compiled.remove());

  it("cozyrag 5: 1, 2 and 4 threads and none give the same bytes, and none of them loads libtorch", async () => {
    await buildCorpus(options("threads-0"));
    for (const threads of [1, 2, 4]) {
      const built = compiled.run(`
        import { readFileSync } from "node:fs";
        import { buildCorpus } from "./corpus/build-corpus.js";
        const report = await buildCorpus(${JSON.stringify(options(`threads-${threads}`, { threads }))});
        console.log(JSON.stringify({ report, torch: readFileSync("/proc/self/maps", "utf8").includes("libtorch") }));
      `) as { report: CorpusReport; torch: boolean };
      expect(built.report).toMatchObject({ execution: "threads", threads });
      expect(built.torch).toBe(false);
      expect(hashes(`threads-${threads}`)).toEqual(hashes("threads-0"));
    }
    expect(Object.keys(hashes("threads-0")).length).toBeGreaterThan(3);
  });

  it("an error while threads work ends the process with the error, and leaves nothing", () => {
    folder.write("broken/AA/wiki_00", readFileSync(folder.join("extracted/A0/wiki_00")));
    folder.write("broken/AB/wiki_00", '<doc id="1" url="u" title="T">\nT\n\ncut o');
    const output = folder.join("broken-output");
    const result = compiled.run(`
      import { buildCorpus } from "./corpus/build-corpus.js";
      const options = ${JSON.stringify(options("broken-output", { threads: 2, source: { ...source, path: folder.join("broken") } }))};
      const message = await buildCorpus(options).then(() => "built", (error) => error.name + ": " + error.message);
      console.log(JSON.stringify(message));
    `);
    expect(result).toMatch(/^UserError: .*AB\/wiki_00:1: this <doc> has no <\/doc>/);
    expect(existsSync(output)).toBe(false);
    expect(readdirSync(folder.path).filter((name) => name.includes("broken-output"))).toEqual([]);
  });
});

describe("failures", () => {
  it("a full disk stops the build in one line, and leaves nothing and what stood there", async () => {
    const compiled = compileSources("full-disk");
    try {
      await buildCorpus(options("full"));
      const before = hashes("full");
      // A limit on file sizes stands for the full disk: the write fails in the same place.
      const script = `
        import { buildCorpus } from "./corpus/build-corpus.js";
        const message = await buildCorpus(${JSON.stringify(options("full", { shardBytes: 1_000_000 }))}).then(() => "built", (error) => error.name + ": " + error.message);
        console.log(JSON.stringify(message));
      `;
      expect(compiled.run(script, { before: "trap '' XFSZ; ulimit -f 40;" })).toMatch(/^UserError: .*passages-00000\.arrow.*limit/);
      expect(hashes("full")).toEqual(before);
      expect(readdirSync(folder.path).filter((name) => name.includes("full"))).toEqual(["full"]);
    } finally {
      compiled.remove();
    }
  });

  it("cozyrag 5: keeps what stood at the output until the new store is complete", async () => {
    await buildCorpus(options("kept"));
    const before = hashes("kept");
    const cut = folder.write("cut/wiki_00", '<doc id="1" url="u" title="T">\nT\n\ncut o');
    await expect(buildCorpus(options("kept", { source: { ...source, path: cut } }))).rejects.toThrow(UserError);
    expect(hashes("kept")).toEqual(before);
    await buildCorpus(options("kept", { source: { ...source, limit: 5 } }));
    expect(hashes("kept")).not.toEqual(before);
  });

  it("can be aborted, which leaves nothing", async () => {
    const stop = new AbortController();
    const building = buildCorpus(options("aborted", { signal: stop.signal, onProgress: () => stop.abort(new Error("enough")) }));
    await expect(building).rejects.toThrow("enough");
    expect(readdirSync(folder.path).filter((name) => name.includes("aborted"))).toEqual([]);
  });

  it("refuses in one line what can't be built, and leaves nothing", async () => {
    expect(await failure({ source: { ...source, path: folder.join("nowhere") } })).toMatch(/nowhere/);
    expect(await failure({ tokenizer: folder.join("nowhere") })).toMatch(/tokenizer/);
    expect(await failure({ tokenizer: folder.write("bad/tokenizer.json", "{") })).toMatch(/tokenizer\.json/);
    expect(await failure({ threads: -1 })).toMatch(/^data\.corpus\.threads: /);
    expect(await failure({ source: { ...source, limit: 0 } })).toMatch(/^data\.corpus\.limit: /);
    expect(await failure({ chunk: { ...chunk, maxTokens: 3 } })).toMatch(/^data\.corpus\.max_tokens: /);
    const empty = folder.write("empty.jsonl", "");
    expect(await failure({ source: { format: "jsonl", path: empty } })).toMatch(/empty\.jsonl: no text in this corpus/);
    folder.write("file", "a file");
    await expect(buildCorpus(options("file"))).rejects.toThrow(UserError);
    for (const output of [folder.join("file/below/store"), "/proc/nowhere/store"]) {
      await expect(buildCorpus(options("x", { output }))).rejects.toThrow(UserError);
    }
    expect(readFileSync(folder.join("file"), "utf8")).toBe("a file");
  });
});

describe("ordered work", () => {
  it("hands results out in order, never runs more than the window ahead, and fails in its turn", async () => {
    let running = 0;
    let most = 0;
    let taken = 0;
    async function* items(): AsyncGenerator<number> {
      for (; taken < 30; taken++) yield await Promise.resolve(taken);
    }
    const work = async (item: number): Promise<number> => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, (item * 7) % 5));
      running -= 1;
      if (item === 20) throw new Error("twenty");
      return item;
    };
    const seen: number[] = [];
    const consume = async (): Promise<void> => {
      for await (const result of orderedMap(items(), work, 4)) {
        seen.push(result);
        expect(taken - result).toBeLessThanOrEqual(4);
      }
    };
    await expect(consume()).rejects.toThrow("twenty");
    expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(most).toBe(4);
    expect(running).toBe(0);
  });
});

const root = fileURLToPath(new URL("../../", import.meta.url));
const squad = process.env.TANDEM_SQUAD ?? path.join(root, "../shared/data/squad");

describe.skipIf(!existsSync(squad))("the real SQuAD folder (skipped where it isn't: TANDEM_SQUAD)", () => {
  it("gives back the passages that its makers cut, when nothing has to be split or merged", async () => {
    mkdirSync(folder.join("squad"), { recursive: true });
    const lines = readFileSync(path.join(squad, "passages.jsonl"), "utf8").trim().split("\n");
    const originals = new Set(
      lines
        .map((line) => JSON.parse(line) as { title: string; text: string })
        .map(({ title, text }) => JSON.stringify([title, text.replace(/\s+/g, " ").trim()])),
    );
    const wide = { ...chunk, split: "blank" as const, maxTokens: 100_000 };
    const report = await buildCorpus(
      options("squad", { source: { format: "wikiextractor", path: path.join(squad, "extracted") }, chunk: wide }),
    );
    const store = PassageStore.open(folder.join("squad"));
    const ours = [...store].map(({ title, text }) => JSON.stringify([title, text.replace(/\s+/g, " ").trim()]));
    const found = ours.filter((passage) => originals.has(passage)).length;
    expect(originals.size - found).toBeLessThanOrEqual(report.text.mergedParagraphs * 2);
    expect(found / originals.size).toBeGreaterThan(0.99);
    expect(report.text.articles).toBe(new Set(lines.map((line) => (JSON.parse(line) as { title: string }).title)).size);
  });
});
