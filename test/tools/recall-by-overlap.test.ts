/**
 * Proves that recall is told apart by how many of a question's words its gold passage shares: quarters in the order of the overlap, each system's own hits, the mean of several runs, and a run without its first validation refused.
 * Alone: npx vitest run test/tools/recall-by-overlap.test.ts
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { renderYaml } from "../../src/config/render.js";
import { overlapTable, recallByOverlap } from "../../tools/recall-by-overlap.js";
import { writtenStore } from "../corpus/written-store.js";
import { userErrorOf } from "../config/user-error.js";

const folder = mkdtempSync(path.join(os.tmpdir(), "tandem-overlap-"));
afterAll(() => rmSync(folder, { recursive: true }));

const PASSAGES = [
  { title: "Alder", text: "The old bridge of Alder was built from oak." },
  { title: "Birch", text: "Erik climbed the mountain in winter." },
  { title: "Cedar", text: "A river ship that carries salt." },
  { title: "Dogwood", text: "Fish live in this northern lake." },
];

/** Least overlap first: none of its words, one of four, two of four, four of five (stop words do not count). */
const QUESTIONS = [
  { question: "Where do trout swim?", gold: 3 },
  { question: "Which vessel brings salt?", gold: 2 },
  { question: "Who climbed Birch first?", gold: 1 },
  { question: "What was the old bridge built from?", gold: 0 },
];

/** @param base what the first retriever put first @param trained the same of the trained one */
function run(name: string, base: readonly number[], trained: readonly number[], first = "step-00000001-refresh.jsonl"): string {
  const place = path.join(folder, name);
  mkdirSync(path.join(place, "validation"), { recursive: true });
  const store = writtenStore(
    path.join(place, "corpus"),
    PASSAGES.map((passage) => ({ ...passage, document: passage.title })),
  );
  writeFileSync(path.join(place, "config.yaml"), renderYaml(loadConfig({ overrides: ["experiment=tiny"] }).config));
  const id = (row: number): string => store.get(row).id;
  const lines = (rows: readonly number[]): string =>
    QUESTIONS.map(
      ({ question, gold }, i) => `${JSON.stringify({ question, gold: [id(gold)], passages: [{ id: id(rows[i] ?? 0) }] })}\n`,
    ).join("");
  writeFileSync(path.join(place, "validation", first), lines(base));
  writeFileSync(path.join(place, "validation", "step-00000009-refresh.jsonl"), lines([0, 0, 0, 0]));
  writeFileSync(path.join(place, "validation", "final.jsonl"), lines(trained));
  return place;
}

describe("recall by overlap", () => {
  it("stands in quarters, each system by its own hits, over all runs", () => {
    const runs = [run("a", [3, 1, 1, 0], [3, 2, 0, 0]), run("b", [3, 1, 1, 0], [0, 2, 1, 0])];
    const parts = recallByOverlap(runs);
    expect(parts.map(({ questions }) => questions)).toEqual([2, 2, 2, 2, 8]);
    expect(parts.map(({ overlap }) => overlap)).toEqual([0, 0.25, 0.5, 0.8, 0].map((value) => expect.closeTo(value) as number));
    expect(parts.map(({ bm25 }) => bm25)).toEqual([0, 1, 1, 1, 0.75]);
    expect(parts.map(({ base }) => base)).toEqual([1, 0, 1, 1, 0.75]);
    expect(parts.map(({ trained }) => trained)).toEqual([0.5, 1, 0.5, 1, 0.75]);
    expect(overlapTable(parts).split("\n")[2]).toBe("| 0.00 to 0.00 | 2 | 0.000 | 1.000 | 0.500 |");
    expect(overlapTable(parts).trimEnd().split("\n").at(-1)).toBe("| all | 8 | 0.750 | 0.750 | 0.750 |");
  });

  it("refuses two sets of questions, also of one size", () => {
    const other = run("other", [0, 0, 0, 0], [0, 0, 0, 0]);
    const final = path.join(other, "validation", "final.jsonl");
    writeFileSync(final, readFileSync(final, "utf8").split("\n").slice(0, -1).reverse().join("\n"));
    expect(userErrorOf(() => recallByOverlap([other]))).toMatch(/other: validated other questions than it was tested on/);
  });

  it("needs the retriever as it began", () => {
    const late = run("late", [0, 0, 0, 0], [0, 0, 0, 0], "step-00000002-contrastive.jsonl");
    rmSync(path.join(late, "validation", "step-00000009-refresh.jsonl"));
    expect(userErrorOf(() => recallByOverlap([late]))).toMatch(
      /late: has no validation of the retriever as it began; begin the schedule with a refresh/,
    );
  });
});
