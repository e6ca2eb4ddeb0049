/**
 * Proves that somebody's files are recognised for what they are: format, paragraphs, questions, where passage ids lead; and that what training couldn't read is refused here, in one line with its place.
 * Alone: npx vitest run test/job/look-at-data.test.ts
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { readGoldPassages } from "../../src/corpus/gold-alignment.js";
import { noteInputs, requireSameInputs } from "../../src/job/run/run-inputs.js";
import { lookAtData, type DataFindings } from "../../src/job/data/look-at-data.js";
import { starterConfig } from "../../src/job/data/starter-config.js";
import { faultOf } from "./fault-of.js";
import { jsonLines } from "./trained-run.js";

const folder = mkdtempSync(path.join(os.tmpdir(), "tandem-look-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string, text: string | Uint8Array): string => {
  const full = path.join(folder, name);
  mkdirSync(path.dirname(full), { recursive: true });
  writeFileSync(full, text);
  return full;
};
const TOWNS = ["Alder", "Birch", "Cedar", "Dorn"];
const passages = file(
  "passages.jsonl",
  jsonLines(TOWNS.map((title, i) => ({ id: `p${i}`, title, text: `${title} is a town.\n\nIt sells rope.` }))),
);
const lines = file(
  "lines.jsonl",
  jsonLines(TOWNS.map((title, i) => ({ id: `p${i}`, title, text: `${title} is a town.\nIt sells rope.\nIt lies low.` }))),
);
const tsv = file("questions.tsv", TOWNS.map((town) => `Where is ${town}?\there\n`).join(""));
const asked = (ids: (i: number) => string[]): string =>
  jsonLines(TOWNS.map((town, i) => ({ id: `q${i}`, question: `Where is ${town}?`, answers: ["here"], passage_ids: ids(i) })));
const named = file(
  "named.jsonl",
  asked((i) => [`p${i}`]),
);
/** Questions about two of the four passages. */
const half = (name: string, from: number): string =>
  file(
    `${name}.jsonl`,
    jsonLines(
      [0, 1].map((i) => ({ id: `q${from + i}`, question: `Where is ${from + i}?`, answers: ["here"], passage_ids: [`p${from + i}`] })),
    ),
  );
const look = (corpus: string, questions: string, more: object = {}): Promise<DataFindings> => lookAtData({ corpus, questions, ...more });

describe("a corpus", () => {
  it("of JSON lines, with blank lines between paragraphs", async () => {
    const { corpus } = await look(passages, tsv);
    expect(corpus).toMatchObject({
      path: passages,
      format: "jsonl",
      files: 1,
      articles: 4,
      isSample: false,
      split: "blank",
      paragraphs: 8,
    });
  });

  it("whose lines the questions name is one of passages: a line break inside one ends nothing", async () => {
    const named = file(
      "town-lines.jsonl",
      jsonLines(TOWNS.map((title, i) => ({ id: `p${i}`, title, text: `${title} is a town on the O\n2 river.` }))),
    );
    const asked = file(
      "town-questions.jsonl",
      jsonLines(TOWNS.map((title, i) => ({ id: `q${i}`, question: `Where is ${title}?`, answers: ["O"], passage_ids: [`p${i}`] }))),
    );
    expect((await look(named, asked)).corpus).toMatchObject({ split: "blank", paragraphs: TOWNS.length });
    expect((await look(named, tsv)).corpus).toMatchObject({ split: "line", paragraphs: 2 * TOWNS.length });
  });

  it("whose paragraphs end with the line", async () => {
    expect((await look(lines, tsv)).corpus).toMatchObject({ split: "line", paragraphs: 12 });
  });

  it("of wikiextractor, as a folder or a file", async () => {
    const text = TOWNS.map(
      (title, i) => `<doc id="${i}" url="u" title="${title}">\n${title}\n\n${title} is a town.\nIt sells rope.\n</doc>\n`,
    ).join("");
    const wiki = file("extracted/AA/wiki_00", text);
    expect((await look(path.join(folder, "extracted"), tsv)).corpus).toMatchObject({
      format: "wikiextractor",
      files: 1,
      articles: 4,
      split: "line",
    });
    expect((await look(wiki, tsv)).corpus).toMatchObject({ format: "wikiextractor", articles: 4 });
  });

  it("of SQuAD's JSON, whose questions stand beside their passages", async () => {
    const data = TOWNS.map((title, i) => {
      const context = `${title} is a town that sells rope.`;
      return {
        title,
        paragraphs: [{ context, qas: [{ id: `s${i}`, question: `Where is ${title}?`, answers: [{ text: title, answer_start: 0 }] }] }],
      };
    });
    const squad = file("squad/dev.json", JSON.stringify({ version: "1.1", data }, null, 1));
    const found = await look(squad, squad);
    expect(found.corpus).toMatchObject({ format: "squad", files: 1, articles: 4, split: "blank", paragraphs: 4 });
    expect(found.train).toMatchObject({ questions: 4, withIds: 4, groups: 4, unanswerable: 0 });
    expect(found.gold).toEqual({ kind: "own" });
    expect((await look(path.dirname(squad), named)).corpus.format).toBe("squad");
    const config = starterConfig("x", found, "small", "tandem train");
    expect(config).toContain("format: squad");
    expect(config).toContain("contexts: gold");
    expect(config).toContain("gold_passages: null");
  });

  it("of a folder of JSON lines; of a large one the first 2,000 articles are read", async () => {
    const many = Array.from({ length: 2001 }, (_, i) => ({ id: `a${i}`, title: `T${i}`, text: "One paragraph." }));
    file("many/a.jsonl", jsonLines(many));
    expect((await look(path.join(folder, "many"), tsv)).corpus).toMatchObject({ format: "jsonl", articles: 2000, isSample: true });
  });

  it.each([
    ["isn't there", () => path.join(folder, "nowhere"), /nowhere: no such file or folder.*--corpus$/],
    ["is empty", () => file("empty.jsonl", "\n\n"), /empty\.jsonl: is empty/],
    ["is a folder of something else", () => path.dirname(file("other/a.csv", "x")), /no corpus in this folder.*wiki_00/],
    ["is cut off", () => file("cut.jsonl", '{"id": "a", "title": "T", "text": "x"}\n{"id": "b", "ti'), /cut\.jsonl:2/],
    ["is not UTF-8", () => file("latin.jsonl", Buffer.from('{"id": "a", "title": "T\xe9", "text": "x"}\n', "latin1")), /latin\.jsonl:1/],
    ["has no text", () => file("textless.jsonl", '{"id": "a", "title": "T", "text": ""}\n'), /no article with text/],
    ["is a question file", () => named, /named\.jsonl:1/],
  ])("that %s is refused", async (_, corpus, expected) => {
    expect(await faultOf(() => look(corpus(), tsv))).toMatch(expected);
  });
});

describe("questions", () => {
  it("with answers alone: no gold, each wording a group of its own, bad lines counted with their reasons", async () => {
    const bad = file("bad.tsv", "A?\tx\nB?\ty\nC?\tz\nD?\nE?\t\nA?\tw\n");
    const { train, gold } = await look(passages, bad);
    expect(train).toMatchObject({ questions: 4, withIds: 0, groups: 3 });
    expect(train.rejected.map(({ line }) => line)).toEqual([4, 5]);
    expect(gold).toEqual({ kind: "none" });
  });

  it("whose ids are lines of the corpus", async () => {
    expect((await look(passages, named)).gold).toEqual({ kind: "file", path: passages });
  });

  it("whose ids are lines of a corpus in a folder, whatever else lies there", async () => {
    const parts = TOWNS.map((title, i) => file(`parts/part-${i}.jsonl`, jsonLines([{ id: `p${i}`, title, text: "It sells rope." }])));
    file("parts/README.txt", "not a passage\n");
    const corpus = path.dirname(parts[0]!);
    const found = await look(corpus, named);
    expect(found.gold).toEqual({ kind: "file", path: corpus });
    expect(starterConfig("x", found, "small", "tandem train")).toContain(`gold_passages: ${corpus}\n`);
    // What the config then names is read as the corpus is.
    expect([...(await readGoldPassages(corpus)).keys()]).toEqual(["p0", "p1", "p2", "p3"]);
    const { config } = loadConfig({
      overrides: [`data.corpus.path=${corpus}`, `data.questions.train=${named}`, `data.questions.gold_passages=${corpus}`],
    });
    noteInputs(folder, config);
    requireSameInputs(folder, config);
    writeFileSync(parts[1]!, jsonLines([{ id: "p1", title: "Birch", text: "It sells cheese." }]));
    expect(await faultOf(() => Promise.resolve().then(() => requireSameInputs(folder, config)))).toMatch(
      /data\.questions\.gold_passages: .*parts is not the file this run began with/,
    );
  });

  it("whose ids are another file's", async () => {
    const other = file(
      "other.jsonl",
      asked((i) => [`x${i}`]),
    );
    const gold = file("gold.jsonl", jsonLines(TOWNS.map((title, i) => ({ id: `x${i}`, title, text: "It sells rope." }))));
    expect((await look(passages, other)).gold).toEqual({ kind: "lost", example: "x0" });
    expect((await look(passages, other, { goldPassages: gold })).gold).toEqual({ kind: "file", path: gold });
    expect(await faultOf(() => look(passages, other, { goldPassages: passages }))).toMatch(
      /passages\.jsonl: has no passage "x0".*--gold-passages/,
    );
  });

  it("whose ids are content hashes", async () => {
    expect(
      (
        await look(
          passages,
          file(
            "hashed.jsonl",
            asked((i) => [String(i).repeat(32)]),
          ),
        )
      ).gold,
    ).toEqual({ kind: "store" });
  });

  it("in files of their own", async () => {
    const found = await look(passages, half("first", 0), { valid: tsv, test: half("second", 2) });
    expect([found.train.questions, found.valid?.questions, found.test?.withIds]).toEqual([2, 4, 2]);
  });

  it("of which only those for training decide whether a schedule may want gold passages", async () => {
    const config = (found: Awaited<ReturnType<typeof look>>): string => starterConfig("x", found, "small", "tandem train");
    expect(config(await look(passages, tsv, { test: named }))).not.toContain("contexts: gold");
    expect(config(await look(passages, half("first", 0), { test: half("second", 2) }))).toContain("contexts: gold");
  });

  it.each([
    ["aren't there", () => path.join(folder, "nowhere.tsv"), /nowhere\.tsv/],
    ["are too few to set any aside", () => file("two.tsv", "A?\tx\nB?\ty\n"), /two\.tsv: is too small.*at least 3 documents, got 2/],
    ["have no usable line", () => file("useless.tsv", "A?\n"), /useless\.tsv:1/],
    ["are UTF-16", () => file("wide.tsv", Buffer.from("\ufeffA?\tx\n", "utf16le")), /UTF-16/],
  ])("that %s are refused", async (_, questions, expected) => {
    expect(await faultOf(() => look(passages, questions()))).toMatch(expected);
  });
});

describe("question files that leak", () => {
  const about = (name: string, entries: readonly object[]): string =>
    file(name, jsonLines(entries.map((entry, i) => ({ id: `${name}${i}`, question: `${name} ${i}?`, answers: ["here"], ...entry }))));

  it.each([
    [
      "a passage",
      [{ passage_ids: ["p0"] }, { passage_ids: ["p1"] }],
      [{ passage_ids: ["p1"] }],
      /--questions .*train\.jsonl and --test .*test\.jsonl: the sets share 1 document, for example "Birch"/,
    ],
    [
      "a named document",
      [{ document: "Alder" }, { document: "Birch" }],
      [{ document: "Alder" }],
      /share 1 document, for example "Alder".*mend the files/,
    ],
    [
      "a document by its passages",
      [{ document: "Alder" }, { document: "Dorn" }],
      [{ passage_ids: ["p0"] }],
      /share 1 document, for example "Alder"/,
    ],
  ])("share %s, and are refused before anything is written", async (_, train, test, refusal) => {
    expect(await faultOf(() => look(passages, about("train.jsonl", train), { test: about("test.jsonl", test) }))).toMatch(refusal);
  });

  it("are one file under two names, unless that is validation and test", async () => {
    expect(await faultOf(() => look(passages, named, { test: named }))).toMatch(/--questions .*named\.jsonl and --test .*named\.jsonl/);
    const held = half("held", 2);
    expect((await look(passages, half("taught", 0), { valid: held, test: held })).test?.questions).toBe(2);
  });

  it("share wordings alone, which is no leak", async () => {
    expect((await look(passages, tsv, { valid: named })).train.questions).toBe(4);
  });
});
