/**
 * Proves query-side-only training: the run says that its index is never refreshed and keeps one, made by the untrained retriever; the trained one embeds the questions alone, in the report, in `tandem eval`, in search and asking and in what is exported; and a run killed
 * in it equals the uninterrupted one.
 * Needs the compiled program (npm run build) for the kill. Alone: npx vitest run test/job/fixed-index.test.ts
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { passageText } from "../../src/corpus/passage.js";
import { setThreads } from "../../src/engine/info.js";
import { scope } from "../../src/engine/scope.js";
import { toFloat32Array } from "../../src/engine/tensor.js";
import { embeddingHealth, type EmbeddingHealth } from "../../src/evaluation/embedding-health.js";
import { evaluateTrained } from "../../src/job/report/evaluate-trained.js";
import { findTrainedRun } from "../../src/job/run/find-run.js";
import { makeIndex } from "../../src/job/index/make-index.js";
import type { JobMessage } from "../../src/job/reporter.js";
import { openPair, searchFolders } from "../../src/job/run/open-pair.js";
import { Encoder } from "../../src/retrieval/encoder.js";
import { readProvenance } from "../../src/retrieval/provenance.js";
import { hashFile } from "../../src/storage/content-hash.js";
import { runPlaces } from "../../src/tracking/run-directory.js";
import { namesIn } from "../storage/bad-input.js";
import { expectEqualRuns, killAndResume, runFolder, trainFully } from "./killed-run.js";
import { makeFiles, trainTiny } from "./trained-run.js";

const WORDS = [
  "train.schedule=[{phase: refresh}, {phase: reader-distillation, steps: 6}, {phase: generator, steps: 2, contexts: retrieved}]",
  "train.reader.fixed_index=true",
  "train.reader.train_passages=false",
  "train.reader.batch=4",
  "train.reader.passages=3",
  "train.reader.candidates=6",
  "train.reader.lr=1e-2",
  "train.validate.after_each_phase=true",
  "prompt.sentence_filter.sentences=2",
];

setThreads(1);
const folder = makeFiles();
const said: JobMessage[] = [];
let run = "";

beforeAll(async () => {
  run = await trainTiny(folder, undefined, [...WORDS, "eval.rows=[closed-book, base-pair, trained-pair]", "eval.recall_at=[1, 3]"], said);
}, 120_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const encoderOf = (name: string): Encoder => Encoder.load(path.join(run, name), { dropout: 0 });

describe("a run whose index is fixed", () => {
  it("says at its start that the index is never refreshed", () => {
    const notes = said.flatMap((message) => (message.type === "note" ? [message.text] : []));
    expect(notes.filter((text) => text.includes("fixed_index"))).toEqual([
      "train.reader.fixed_index: only the questions' side of the retriever is trained; passages stay as start/retriever embeds them, and the index is never refreshed",
    ]);
    // Before the first step.
    const at = (wanted: (message: JobMessage) => boolean): number => said.findIndex(wanted);
    expect(at((message) => message.type === "note" && message.text.includes("fixed_index"))).toBeLessThan(
      at((message) => message.type === "stage" && message.name === "training"),
    );
  });

  it("has one index, of the retriever as it began, and another retriever at its end", () => {
    const names = namesIn(path.join(run, "index"));
    expect(names.length).toBe(1);
    const [start, questions, passages] = ["start/retriever", "retriever", "passage-retriever"].map(encoderOf);
    expect(readProvenance(path.join(run, "index", names[0] ?? "")).encoder).toBe(start?.hash);
    expect(passages?.hash).toBe(start?.hash);
    expect(questions?.hash).not.toBe(start?.hash);
    for (const encoder of [start, questions, passages]) encoder?.dispose();
  });

  it("has the rank and uniformity of its training questions, since nothing searches passages embedded by what is trained", () => {
    const lines = (file: string): Record<string, unknown>[] =>
      readFileSync(file, "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    const asked = lines(path.join(folder, "train.jsonl")).map(({ question }) => question as string);
    const questions = encoderOf("retriever");
    const expected = scope(() => embeddingHealth(questions.embedQueries(asked)));
    questions.dispose();
    const { rank, uniformity } = lines(path.join(run, "validation/summary.jsonl")).at(-1)?.["health"] as EmbeddingHealth;
    expect(rank).toBeCloseTo(expected.rank, 4);
    expect(uniformity).toBeCloseTo(expected.uniformity, 4);
  });

  it("searches its passages as they were with its questions as they are, and its index is found sound", async () => {
    const trained = findTrainedRun(run);
    const pair = openPair(trained);
    const text = "Who is the mayor of Bal?";
    const found = (await pair.search([text], 30))[0] ?? [];
    const [questions, passages] = ["retriever", "passage-retriever"].map(encoderOf) as [Encoder, Encoder];
    const query = scope(() => toFloat32Array(questions.embedQueries([text])));
    const other = scope(() => toFloat32Array(passages.embedQueries([text])));
    const { store } = pair;
    const template = trained.config.data.corpus.title_template;
    const scoreBy = (vector: Float32Array, row: number): number =>
      scope(() => toFloat32Array(passages.embedPassages([passageText(store.get(row), template)]))).reduce(
        (sum, value, d) => sum + value * (vector[d] ?? 0),
        0,
      );
    for (const { row, score } of found.slice(0, 5)) expect(score).toBeCloseTo(scoreBy(query, row), 4);
    expect(found.some(({ row, score }) => Math.abs(score - scoreBy(other, row)) > 1e-3)).toBe(true);
    expect((await pair.answer([text]))[0]?.hits.length).toBeGreaterThan(0);
    for (const encoder of [questions, passages]) encoder.dispose();
    pair.dispose();
    const made = await makeIndex({ ...searchFolders(trained, "cpu"), faiss: false, rebuild: false, report: () => undefined });
    expect(made.outcome).toBe("verified");
    expect(namesIn(path.join(run, "index")).length).toBe(1);
  }, 60_000);

  it("is scored again as it was scored, over the same index", async () => {
    const read = (file: string): { rows: { name: string; recall: unknown; em: number }[] } =>
      JSON.parse(readFileSync(file, "utf8")) as ReturnType<typeof read>;
    const again = await evaluateTrained(findTrainedRun(run), { report: () => undefined });
    const scores = ({ rows }: ReturnType<typeof read>): unknown => rows.map(({ name, recall, em }) => [name, recall, em]);
    expect(scores(read(path.join(again.folder, "report.json")))).toEqual(scores(read(path.join(run, "report.json"))));
    expect(namesIn(path.join(run, "index")).length).toBe(1);
  }, 60_000);

  it("says so when what embedded its passages is gone, and makes no other index", () => {
    const away = path.join(folder, "away");
    const { passageRetriever } = runPlaces(run);
    rmSync(away, { recursive: true, force: true });
    const before = hashFile(path.join(passageRetriever, "model.safetensors"));
    rmSync(path.join(passageRetriever, "model.safetensors"));
    const pair = openPair(findTrainedRun(run));
    expect(() => pair.retriever).toThrow(/passage-retriever/);
    encoderOf("start/retriever").save(passageRetriever);
    expect(hashFile(path.join(passageRetriever, "model.safetensors"))).toBe(before);
  });

  it("killed in its phase, equals the uninterrupted one", async () => {
    const words = (runs: string): string[] => [
      "experiment=tiny",
      `run.dir=${runs}`,
      "retriever.dropout=0.1",
      "train.checkpoint.every=2",
      ...WORDS,
      "--quiet",
    ];
    const runs = mkdtempSync(path.join(tmpdir(), "tandem-whole-"));
    const result = await trainFully(words(runs));
    expect(result.code, result.stderr).toBe(0);
    const { run: resumed, killed } = await killAndResume(words, 1, (at) => {
      const file = path.join(at, "metrics.jsonl");
      return existsSync(file) && readFileSync(file, "utf8").split("\n").length - 1 >= 4;
    });
    expect(killed).toBe(1);
    expectEqualRuns(resumed, runFolder(runs) ?? "");
  }, 300_000);
});
