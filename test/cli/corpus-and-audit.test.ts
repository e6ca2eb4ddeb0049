/**
 * Proves what `tandem corpus` builds and reports, that it replaces nothing but a store, and that `tandem audit` prints its table and names a dead pair; with standard input, pipes and exit codes of a real process at the end.
 * Alone: npx vitest run test/cli/corpus-and-audit.test.ts
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { command as audit } from "../../src/cli/audit.js";
import { command as corpus } from "../../src/cli/corpus.js";
import { PassageStore } from "../../src/corpus/passage-store.js";
import type { CorpusReport } from "../../src/corpus/build-corpus.js";
import type { ConfigAudit } from "../../src/job/training/audit-config.js";
import { faultOf } from "../job/fault-of.js";
import { ARTICLES, jsonLines, makeFiles, tinyWords, trainTiny } from "../job/trained-run.js";
import { captured } from "./captured.js";
import { compileCommand, type CompiledCommand } from "./compiled-command.js";

const folder = makeFiles();
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});
const at = (...names: string[]): string => path.join(folder, ...names);

describe("tandem corpus", () => {
  it("builds the store that a run of the same config builds, and reports what became of the text", async () => {
    const { out } = await captured(corpus, ["corpus", ...tinyWords(folder), "--output", at("store"), "--quiet"]);
    expect(out).toMatch(/store: 30 passages from 30 documents in 1 files/);
    for (const line of ["exact duplicates left out: 0", "long paragraphs split: 0", "passages still too long for the retriever: 0"])
      expect(out).toContain(line);
    const run = await trainTiny(folder);
    expect(PassageStore.open(at("store")).hash).toBe(PassageStore.open(path.join(run, "corpus")).hash);
    expect(PassageStore.open(at("store")).manifest.chunking).toEqual(PassageStore.open(path.join(run, "corpus")).manifest.chunking);
  }, 120_000);

  it("measures passages in the tokens of retriever.path, and counts duplicates and splits", async () => {
    const [run = ""] = readdirSync(at("runs"));
    const sentences = Array.from({ length: 40 }, (_, i) => `House number ${i} belongs to the ${i}th of the guilds.`);
    const long = { id: "long", title: "Long", text: sentences.join(" ") };
    writeFileSync(at("other.jsonl"), jsonLines([...ARTICLES.slice(0, 3), { ...ARTICLES[0], id: "again" }, long]));
    const words = [`retriever.path=${at("runs", run, "retriever")}`, `data.corpus.path=${at("other.jsonl")}`, "--output", at("other")];
    const { out } = await captured(corpus, ["corpus", ...words, "--json", "--quiet"]);
    const { corpus: made } = JSON.parse(out) as { corpus: CorpusReport };
    expect(made.duplicates).toBe(1);
    expect(made.text).toMatchObject({ splitParagraphs: 1, truncatedPassages: 0 });
    expect(made.text.longestPassage).toBeLessThanOrEqual(128);
  });

  it("lists every line of a question file that can't be used, with its number and the reason", async () => {
    writeFileSync(at("qa.tsv"), ["Who?\tx", "alone", "a\tb\tc", "", "When?\ty", "\tanswer"].join("\n"));
    const { out } = await captured(corpus, ["corpus", "--questions", at("qa.tsv")]);
    const lines = out.trimEnd().split("\n");
    expect(lines[0]).toBe(`${at("qa.tsv")}: 2 questions, 3 lines left out`);
    expect(lines.slice(1).map((line) => line.replace(at("qa.tsv"), ""))).toEqual([
      expect.stringMatching(/^:2: one field only/) as string,
      expect.stringMatching(/^:3: 3 fields/) as string,
      expect.stringMatching(/^:6: missing question/) as string,
    ]);
  });

  it("replaces a store, and refuses to replace anything else", async () => {
    mkdirSync(at("mine"));
    writeFileSync(at("mine", "thesis.txt"), "years of work");
    const build = (output: string): Promise<unknown> => captured(corpus, ["corpus", ...tinyWords(folder), "--output", output, "--quiet"]);
    expect(await faultOf(() => build(at("mine")))).toMatch(/is something else than a passage store; .*got thesis\.txt/);
    expect(await faultOf(() => build(at("qa.tsv")))).toMatch(/got a file/);
    expect(readFileSync(at("mine", "thesis.txt"), "utf8")).toBe("years of work");
    await build(at("store"));
    expect(PassageStore.open(at("store")).size).toBe(30);
  });

  it.each([
    ["nothing to do", [], /there is nothing to do; expected --output or --questions/],
    ["no corpus", ["--output", "OUT"], /data\.corpus\.path/],
    ["a corpus that isn't there", ["data.corpus.path=/nowhere.jsonl", "--output", "OUT"], /\/nowhere\.jsonl/],
    ["questions that aren't there", ["--questions", "/nowhere.tsv"], /\/nowhere\.tsv/],
    ["a retriever that isn't there", ["data.corpus.path=CORPUS", "retriever.path=/nowhere", "--output", "OUT"], /\/nowhere/],
  ])("refuses %s and leaves nothing behind", async (_, words, expected) => {
    const given = words.map((word) => word.replace("OUT", at("out")).replace("CORPUS", at("corpus.jsonl")));
    expect(await faultOf(() => captured(corpus, ["corpus", ...given, "--quiet"]))).toMatch(expected);
    expect(readdirSync(folder)).not.toContain("out");
  });
});

describe("tandem audit", () => {
  it("prints a line a term, and a row a pair as JSON", async () => {
    const { out } = await captured(audit, ["audit", ...tinyWords(folder), "--quiet"]);
    for (const term of ["generator/answer", "generator/keyword_coverage", "generator/short_answer", "contrastive/contrastive"])
      expect(out).toMatch(new RegExp(`^${term}(?: \\(teacher_forced\\))?, entry \\d: \\d+ of \\d+ tensors have a gradient`, "m"));
    const { out: json } = await captured(audit, ["audit", ...tinyWords(folder), "--json", "--quiet"]);
    const { pairs: rows, cuts } = JSON.parse(json) as ConfigAudit;
    expect(cuts.map(({ phase, entries, way }) => [phase, entries, way])).toEqual([
      ["generator", [0], "parts"],
      ["contrastive", [1], "parts"],
      ["generator", [3], "parts"],
      ["closed-book", [4], "parts"],
    ]);
    expect(new Set(rows.map(({ phase, entries }) => `${phase} ${entries?.join() ?? ""}`))).toEqual(
      new Set(["generator 0", "contrastive 1", "generator 3", "closed-book 4"]),
    );
    for (const { difference, phase, entries } of cuts) {
      // Not 0: two parts were really added up. f32 rounds their sums otherwise.
      expect(difference).toBeGreaterThan(0);
      expect(difference).toBeLessThan(1e-4);
      expect(out).toMatch(
        new RegExp(`^${phase}, entry ${entries?.join() ?? ""}: a step in parts has the gradient of the whole batch`, "m"),
      );
    }
    expect(rows.filter(({ status }) => status === "alive").length).toBeGreaterThan(60);
    for (const { status, largest } of rows) if (status === "alive") expect(largest).toBeGreaterThan(0);
  });

  it("compares each entry that packs prompts into forward passes with another packing", async () => {
    const schedule = [
      "{phase: refresh}",
      "{phase: reader-distillation, steps: 1}",
      "{phase: joint, steps: 1, with: {loss: rag_token, accumulate: 1}}",
      "{phase: refresh}",
    ];
    const words = [
      "train.reader.batch=3",
      "train.reader.passages=2",
      `train.schedule=[${schedule.join(", ")}]`,
      "eval.rows=[trained-pair]",
    ];
    const { out } = await captured(audit, ["audit", ...tinyWords(folder), ...words, "--json", "--quiet"]);
    const { cuts } = JSON.parse(out) as ConfigAudit;
    expect(cuts.map(({ phase, entries, way }) => [phase, entries, way])).toEqual([
      ["reader-distillation", [1], "parts"],
      ["reader-distillation", [1], "packed"],
      ["joint", [2], "parts"],
      ["joint", [2], "packed"],
    ]);
    // Where the reader only teaches, its likelihoods may be the same to the bit; where it learns, sums of gradients are rounded otherwise.
    for (const { phase, way, difference } of cuts) if (phase === "joint" || way === "parts") expect(difference).toBeGreaterThan(0);
    for (const { difference, lossDifference } of cuts) {
      expect(difference).toBeLessThan(1e-4);
      expect(lossDifference).toBeLessThan(1e-4);
    }
  }, 60_000);

  it("names the dead pair", async () => {
    // Weights this small lose their products to underflow: the query's gradient is zero.
    const words = ["audit", ...tinyWords(folder), "retriever.initialise.std=1e-30", "--quiet"];
    expect(await faultOf(() => captured(audit, words))).toMatch(
      /^gradient audit, phase contrastive, entry 1: contrastive has no gradient on encoder\.layer\.0\.attention\.self\.query\.weight/,
    );
  });
});

describe("as a process", () => {
  let command: CompiledCommand;
  let run: string;
  beforeAll(() => {
    command = compileCommand("run-commands");
    for (const name of ["build", "node_modules"]) symlinkSync(path.join(import.meta.dirname, "../..", name), path.join(command.root, name));
    run = at("runs", readdirSync(at("runs"))[0] ?? "");
  });
  afterAll(() => {
    command.remove();
  });

  it("questions come from standard input, answers go to standard output and nothing else does", () => {
    const { status, out, error } = command.shell(`printf 'Who?\\nWhen?\\tx\\n' | tandem ask ${run} - --json`);
    expect(error).toBe("");
    expect(status).toBe(0);
    expect(
      out
        .trimEnd()
        .split("\n")
        .map((line) => (JSON.parse(line) as { question: string }).question),
    ).toEqual(["Who?", "When?"]);
    expect(command.shell(`echo Who? | tandem search ${run} -k 1 --json`).out).toMatch(/^\{"question":"Who\?","hits":\[\{/);
  });

  it("latest is looked for in runs/ of the current folder", () => {
    const { status, out } = command.run(["search", "latest", "Who?", "-k", "1"], { cwd: folder });
    expect(status).toBe(0);
    expect(out).toMatch(/^ {3}1 /);
  });

  it("a mistake is one line and exit code 2", () => {
    for (const words of [
      ["ask", "/nowhere", "Who?"],
      ["search", run, ""],
      ["audit", ...tinyWords(folder), "retriever.initialise.std=1e-30", "--quiet"],
    ]) {
      const { status, out, error } = command.run(words);
      expect(status).toBe(2);
      expect(out).toBe("");
      expect(
        error
          .trimEnd()
          .split("\n")
          .filter((line) => !line.startsWith("warning: ")),
      ).toHaveLength(1);
    }
  });
});
