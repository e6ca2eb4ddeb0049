/**
 * Proves that docs/own-data.md leads from files to a report: its examples of lines are lines that are read, and its commands run in their order on a made-up corpus, with question<TAB>answer lines and SQuAD's JSON too. Only
 * the models and the steps are made small. Alone: npx vitest run test/docs/own-data.test.ts
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compileCommand, type CompiledCommand } from "../cli/compiled-command.js";
import { ARTICLES, jsonLines } from "../job/trained-run.js";
import { repository } from "./tracked-files.js";

const page = readFileSync(path.join(repository, "docs/own-data.md"), "utf8");

/** The code blocks of one language. */
const blocks = (language: string): string[] =>
  [...page.matchAll(/^```([a-z]*)\n([\s\S]*?)^```/gm)].filter((match) => match[1] === language).map((match) => match[2] ?? "");

const commands = blocks("bash")
  .flatMap((block) => block.split("\n"))
  .filter((line) => line.startsWith("tandem "))
  .map((line) => (line.replace(/ +#.*$/, "").match(/'[^']*'|"[^"]*"|\S+/g) ?? []).slice(1).map((word) => word.replaceAll(/["']/g, "")));

/** Seconds instead of an hour. */
const SMALL = [
  "retriever.initialise={layers: 1, width: 16, heads: 2, positions: 128, vocabulary: 300}",
  "generator.initialise={layers: 1, width: 16, heads: 2, positions: 384, vocabulary: 300}",
  "eval.max_new_tokens=4",
  "eval.closed_book.steps=1",
  "train.validate.after_each_phase=false",
  "threads=1",
];
let command: CompiledCommand;
let folder: string;
beforeAll(() => {
  command = compileCommand("own-data");
  symlinkSync(path.join(repository, "build"), path.join(command.root, "build"));
  folder = mkdtempSync(path.join(os.tmpdir(), "tandem-own-"));
  const [article = "", question = ""] = blocks("text");
  const questions = ARTICLES.map(({ id, title, text }) => ({
    question: `Who is the mayor of ${title}?`,
    answers: [/mayor is (\w+),/.exec(text)?.[1] ?? ""],
    passage_ids: [id],
  }));
  writeFileSync(path.join(folder, "corpus.jsonl"), article + jsonLines(ARTICLES));
  writeFileSync(path.join(folder, "questions.jsonl"), question + jsonLines(questions));
  writeFileSync(path.join(folder, "more.tsv"), questions.map((each) => `${each.question}\t${each.answers[0] ?? ""}\n`).join(""));
}, 300_000);
afterAll(() => {
  rmSync(path.join(command.root, "build"), { force: true });
  command.remove();
  rmSync(folder, { recursive: true, force: true });
});

const run = (words: readonly string[]): { out: string; error: string } => {
  const made = words[0] === "init" ? ["--model", "small"] : words[0] === "train" || words[0] === "audit" ? SMALL : [];
  const { status, out, error } = command.run([...words, ...made], { cwd: folder });
  expect(error).not.toMatch(/^tandem [a-z]+: /m);
  expect(status, error).toBe(0);
  if (words[0] === "init") shorten(words[1] ?? "");
  return { out, error };
};

/** The schedule as it was written, a step a phase. */
function shorten(name: string): void {
  const config = path.join(folder, name, "config.yaml");
  writeFileSync(config, readFileSync(config, "utf8").replace(/steps: \d+/g, "steps: 1"));
}

describe("the page's commands", () => {
  it("are those that lead to a report", () => {
    expect(commands.map(([name]) => name)).toEqual(["init", "corpus", "config", "audit", "train", "train", "ask", "search", "eval"]);
  });

  it("run in their order, from the files to the report and beyond", () => {
    for (const words of commands) {
      const { out } = run(words);
      expect(out.length, words.join(" ")).toBeGreaterThan(20);
      if (words[0] === "init") expect(out).toContain("31 questions; each names a passage");
    }
    const runs = readdirSync(path.join(folder, "runs"));
    expect(runs.some((name) => /^\d{8}-\d{6}-try$/.test(name))).toBe(true);
    const made = runs.find((name) => /^\d{8}-\d{6}-my-pair$/.test(name)) ?? "";
    expect(readFileSync(path.join(folder, "runs", made, "report.html"), "utf8")).toContain("Answers before and after");
    const report = JSON.parse(readFileSync(path.join(folder, "runs", made, "report.json"), "utf8")) as {
      rows: { name: string; with_gold: number }[];
    };
    expect(report.rows.find(({ name }) => name === "trained-pair")?.with_gold).toBeGreaterThan(0);
  }, 600_000);

  it("run with question<TAB>answer lines too, on the schedule that init writes for them", () => {
    run(["init", "tsv-pair", "--corpus", "corpus.jsonl", "--questions", "more.tsv"]);
    run(["train", "--config-dir", "tsv-pair"]);
    const made = readdirSync(path.join(folder, "runs")).find((name) => name.endsWith("tsv-pair")) ?? "";
    expect(existsSync(path.join(folder, "runs", made, "report.html"))).toBe(true);
  }, 600_000);

  it("run with one SQuAD file as corpus and questions, the page's own article among its articles", () => {
    const own = JSON.parse(blocks("text")[2] ?? "") as { version: string; data: object[] };
    const data = ARTICLES.map(({ id, title, text }) => {
      const mayor = /mayor is (\w+),/.exec(text)?.[1] ?? "";
      const answers = [{ text: mayor, answer_start: text.indexOf(mayor, text.indexOf("mayor is")) }];
      return { title, paragraphs: [{ context: text, qas: [{ id, question: `Who is the mayor of ${title}?`, answers }] }] };
    });
    writeFileSync(path.join(folder, "squad.json"), JSON.stringify({ ...own, data: [...own.data, ...data] }));
    expect(run(["init", "squad-pair", "--corpus", "squad.json", "--questions", "squad.json"]).out).toContain(
      "31 questions; each names a passage",
    );
    expect(run(["corpus", "check", "--config-dir", "squad-pair"]).out).toContain("train and test\n  no documents\n  no gold passages\n");
    run(["train", "--config-dir", "squad-pair"]);
    const made = readdirSync(path.join(folder, "runs")).find((name) => name.endsWith("squad-pair")) ?? "";
    const report = JSON.parse(readFileSync(path.join(folder, "runs", made, "report.json"), "utf8")) as {
      rows: { name: string; questions: number; with_gold: number }[];
    };
    const row = report.rows.find(({ name }) => name === "trained-pair");
    expect(row?.with_gold).toBeGreaterThan(0);
    expect(row?.with_gold).toBe(row?.questions);
    // A run's store looks documents up as its training did.
    expect(run(["corpus", "check", "--config-dir", "squad-pair", "--store", path.join("runs", made)]).error).toBe("");
  }, 600_000);
});
