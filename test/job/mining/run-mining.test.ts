/**
 * Proves where a run's hard negatives come from: the index's results, BM25's words, or both, never a gold passage, one that holds the answer or a held-out document; that margins read the scores they should; that
 * what was searched, judged and chosen is made once and found again; that rules which leave nothing are warned of; and that damaged artefacts are refused.
 * Alone: npx vitest run test/job/mining/run-mining.test.ts
 */
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, truncateSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load-config.js";
import { Encoder } from "../../../src/retrieval/encoder.js";
import { openRetrieved, writeRetrieved, type RetrievedRows } from "../../../src/job/index/artefacts.js";
import { lowestPositives } from "../../../src/job/mining/positive-scores.js";
import { runMining, type RunMiningParts } from "../../../src/job/mining/run-mining.js";
import type { JobMessage } from "../../../src/job/reporter.js";
import { writtenStore } from "../../corpus/written-store.js";
import { faultOf, namesIn, temporaryFolder } from "../../storage/bad-input.js";
import { tinyEncoder } from "../../training/tiny-world.js";

const TEXTS = [
  "The mayor of Alder is Ida Renhan.",
  "The mayor of Birch climbs mountains.",
  "Alder and Birch are towns.",
  "Cedar is a ship.",
  "The former mayor of Alder lives there still.",
];
const folder = temporaryFolder();
const store = writtenStore(
  path.join(folder, "store"),
  TEXTS.map((text, i) => ({ title: "", text, document: `d${i}` })),
);
type Settings = RunMiningParts["settings"];
const settings: Settings = {
  ...loadConfig({ overrides: ["data=quickstart"] }).config.train.contrastive.mining,
  source: "dense",
  from: 1,
  to: 5,
};
const found = (rows: number[], scores?: number[], positive?: number): RetrievedRows => ({
  k: rows.length,
  rowsOf: () => rows,
  ...(scores === undefined ? {} : { scoresOf: () => scores }),
  ...(positive === undefined ? {} : { positiveOf: () => positive }),
});
const messages: JobMessage[] = [];
let made = 0;
const parts = (change: Partial<Settings> = {}, more: Partial<RunMiningParts> = {}): RunMiningParts => {
  const retrievalFolder = path.join(folder, `retrieval-${made++}`);
  mkdirSync(retrievalFolder);
  return {
    settings: { ...settings, ...change },
    questions: ["Who is the mayor of Alder?"],
    mined: [{ goldRows: [0], answers: ["Ida Renhan"] }],
    store,
    textOf: (row) => TEXTS[row]!,
    template: "{title}. {text}",
    heldOut: new Set(),
    retrieved: { name: "a".repeat(16), rows: found([3, 0, 1]) },
    retrievalFolder,
    device: "cpu",
    report: (message) => messages.push(message),
    ...more,
  };
};
const rowsOf = (change: Partial<Settings> = {}, more: Partial<RunMiningParts> = {}): number[] => [
  ...(runMining(parts(change, more))?.rowsOf(0) ?? []),
];

describe("hard negatives of a run", () => {
  it("of the index keep its order, and there are none before there is an index", () => {
    expect(rowsOf()).toEqual([3, 1]);
    expect(runMining(parts({}, { retrieved: undefined }))).toBeUndefined();
  });

  it("of BM25 are those that share words with the question, the best first, and need no index", () => {
    expect(rowsOf({ source: "bm25" }, { retrieved: undefined })).toEqual([4, 2, 1]);
    // A passage without a word in common isn't hard, however many are asked for.
    expect(rowsOf({ source: "bm25" })).not.toContain(3);
  });

  it("of both are each other's complement, none twice", () => {
    expect(rowsOf({ source: "both" })).toEqual([3, 1, 4, 2]);
    expect(rowsOf({ source: "both" }, { retrieved: undefined })).toEqual([4, 2, 1]);
  });

  it("hold no passage that training may not see, and none outside the window", () => {
    expect(rowsOf({ source: "bm25" }, { heldOut: new Set(["d4"]) })).toEqual([2, 1]);
    expect(rowsOf({ source: "bm25", from: 3, to: 3 })).toEqual([2]);
  });

  it("of BM25 are refused for a corpus that it can't hold, in one line", () => {
    const large = { size: 3_000_000, field: () => "", hash: "" };
    expect(() => runMining(parts({ source: "bm25" }, { store: large }))).toThrow(
      /train\.contrastive\.mining\.source: asks BM25.*at most 2000000 passages, got 3000000; train\.contrastive\.mining\.source=dense/,
    );
  });
});

describe("margins", () => {
  const scored = { retrieved: { name: "a".repeat(16), rows: found([0, 4, 1, 2, 3], [0.9, 0.8, 0.6, 0.5, 0.1], 0.9) } };

  it("read the index's scores, or BM25's with BM25's own positive", () => {
    expect(rowsOf({ absolute_margin: 0.3 }, scored)).toEqual([1, 2, 3]);
    expect(rowsOf({ max_score: 0.5, min_score: 0.2 }, scored)).toEqual([2]);
    expect(rowsOf({ source: "bm25" }, { retrieved: undefined })).toEqual([4, 2, 1]);
    // The positive holds every word of the question that any passage has, so a tenth of its score is far below.
    expect(rowsOf({ source: "bm25", relative_margin: 0.9 }, { retrieved: undefined })).toEqual([]);
    expect(rowsOf({ source: "bm25", relative_margin: 0 }, { retrieved: undefined }).length).toBeGreaterThan(0);
  });

  it("with ranks: kept count what is left", () => {
    expect(rowsOf({ absolute_margin: 0.3, from: 2, to: 2 }, scored)).toEqual([]);
    // As sentence-transformers has it, the search goes only as far as the last rank and the positives: three passages here, one of which is left.
    expect(rowsOf({ absolute_margin: 0.3, from: 2, to: 2, ranks: "kept" }, scored)).toEqual([]);
    expect(rowsOf({ absolute_margin: 0.3, from: 1, to: 2, ranks: "kept" }, scored)).toEqual([1]);
    expect(rowsOf({ absolute_margin: 0.3, from: 2, to: 4, ranks: "kept" }, scored)).toEqual([2, 3]);
  });

  it("that leave nothing are a warning that names the rule which dropped most; what is left is a note", () => {
    const said = (change: Partial<Settings>, more: Partial<RunMiningParts> = scored): JobMessage | undefined => {
      rowsOf(change, more);
      return messages.at(-1);
    };
    expect(said({ absolute_margin: 0.3 })).toEqual({
      type: "note",
      text: "hard negatives: 3 for 1 questions, 0 without any; dropped by rule: gold 1, absolute margin 1",
    });
    expect(said({ max_score: 0.2, min_score: 0.2 })).toEqual({
      type: "warning",
      text: "hard negatives: 0 for 1 questions, 1 without any; dropped by rule: max score 3, gold 1, min score 1; no question trains on a hard negative; loosen train.contrastive.mining.max_score, which dropped 3",
    });
    // No rule that is set dropped anything: only more ranks help.
    expect(said({ to: 1 })).toEqual({
      type: "warning",
      text: "hard negatives: 0 for 1 questions, 1 without any; dropped by rule: gold 1; no question trains on a hard negative; widen train.contrastive.mining.from and to, or take another source",
    });
  });

  it("are refused for results that an older version kept without scores", () => {
    expect(faultOf(() => runMining(parts({ max_score: 0.5 })))).toMatch(/kept without them, by an earlier version; start a new run/);
  });

  it("compare with positives that the search missed as with those that it found", () => {
    const encoder = tinyEncoder(0, "f32");
    const questions = ["Who is the mayor of Alder?", "What is Cedar?", "Nothing?"];
    const all = { encoder, metric: "inner-product" as const, questions, textOf: (row: number) => TEXTS[row]! };
    const none = { k: 1, rows_QK: Int32Array.from([4, 4, 4]), scores_QK: new Float32Array(3) };
    const lowest = lowestPositives({ ...all, goldRows: [[0, 2], [3], []] }, none);
    const each = lowestPositives({ ...all, goldRows: [[0], [3], []] }, none)[0]!;
    const other = lowestPositives({ ...all, goldRows: [[2], [], []] }, none);
    // A text's last bit may differ with the texts beside it: that is the processor's matter.
    expect(lowest[0]).toBeCloseTo(Math.min(each, other[0]!), 6);
    expect([lowest[2], other[1]]).toEqual([NaN, NaN]);
    const seen = lowestPositives({ ...all, goldRows: [[4], [], []] }, { ...none, scores_QK: Float32Array.from([0.25, 0, 0]) });
    expect(seen[0]).toBe(0.25);
    encoder.dispose();
  });
});

describe("artefacts", () => {
  it("are made once: BM25's for all of a run, the negatives for each index and rule", () => {
    const of = parts({ source: "both" });
    const first = runMining(of)!;
    expect(namesIn(of.retrievalFolder)).toEqual([first.artefacts.lexical!, first.artefacts.mined!].sort());
    const times = (): number[] => namesIn(of.retrievalFolder).map((name) => statSync(path.join(of.retrievalFolder, name)).mtimeMs);
    const before = times();
    expect(runMining(of)!.artefacts).toEqual(first.artefacts);
    expect(times()).toEqual(before);
    const after = runMining({ ...of, retrieved: { name: "b".repeat(16), rows: found([2, 1]) } })!;
    expect(after.artefacts.lexical).toBe(first.artefacts.lexical);
    expect(after.artefacts.mined).not.toBe(first.artefacts.mined);
    expect(runMining({ ...of, settings: { ...of.settings, near_positive: 0.5 } })!.artefacts.mined).not.toBe(first.artefacts.mined);
    // How a batch draws from them doesn't change them.
    expect(runMining({ ...of, settings: { ...of.settings, sampling: "top" } })!.artefacts).toEqual(first.artefacts);
    const report = JSON.parse(readFileSync(path.join(of.retrievalFolder, first.artefacts.mined!, "report.json"), "utf8")) as object;
    expect(report).toMatchObject({ kept: 4, droppedGold: 2, questionsWithout: 0 });
  });

  it.each(["rows.npy", "scores.npy"])("are refused when %s was cut short, and made again when they are gone", (file) => {
    const of = parts();
    const { mined } = runMining(of)!.artefacts;
    truncateSync(path.join(of.retrievalFolder, mined!, file), 130);
    expect(faultOf(() => runMining(of))).toMatch(new RegExp(`${file.replace(".", "\\.")}: is cut short`));
    rmSync(path.join(of.retrievalFolder, mined!), { recursive: true });
    expect(runMining(of)!.artefacts.mined).toBe(mined);
  });

  it("of scores that don't fit the rows are refused; those without scores are read", () => {
    const of = parts();
    const place = (name: string): string => path.join(of.retrievalFolder, name);
    const write = (name: string, k: number, positives?: Float32Array): void => {
      writeRetrieved(place(name), {
        k,
        rows_QK: new Int32Array(2 * k),
        scores_QK: Float32Array.from({ length: 2 * k }, (_, i) => i),
        positives,
      });
    };
    write("c".repeat(16), 3, Float32Array.from([0.5, NaN]));
    const whole = openRetrieved(of, "c".repeat(16), 2);
    expect([whole.scoresOf?.(1), whole.positiveOf?.(0), whole.positiveOf?.(1)]).toEqual([[3, 4, 5], 0.5, NaN]);
    write("d".repeat(16), 2);
    rmSync(path.join(place("c".repeat(16)), "scores.npy"));
    expect(openRetrieved(of, "c".repeat(16), 2).scoresOf).toBeUndefined();
    writeRetrieved(place("e".repeat(16)), {
      k: 1,
      rows_QK: new Int32Array(2),
      scores_QK: new Float32Array(2),
      positives: new Float32Array(3),
    });
    expect(faultOf(() => openRetrieved(of, "e".repeat(16), 2))).toMatch(
      /positives\.npy: does not fit the training questions; expected float32 \(2, 1\), got float32 \(3, 1\)/,
    );
    expect(existsSync(place("d".repeat(16)))).toBe(true);
  });
});

describe("a teacher that is an encoder", () => {
  const teacher = path.join(folder, "teacher");
  const encoder = tinyEncoder(0, "f32");
  encoder.save(teacher);
  const judging = { teacher: { path: teacher, kind: "encoder" as const }, source: "both" as const };
  const cosine = (row: number): number => {
    const [q, p] = [encoder.embedQueries(["Who is the mayor of Alder?"]), encoder.embedPassages([TEXTS[row]!])];
    return q.mul(p).sum().item();
  };

  it("decides by its own scores, in its own order, of what both searches found", () => {
    const order = [1, 2, 3, 4].sort((a, b) => cosine(b) - cosine(a));
    expect(rowsOf({ ...judging, max_score: 2 })).toEqual(order);
    const positive = cosine(0);
    const kept = order.filter((row) => cosine(row) <= positive - Math.abs(positive) * 0.01);
    expect(rowsOf({ ...judging, relative_margin: 0.01 })).toEqual(kept);
  });

  it("is asked once for what it judged, and again when its folder says something else", () => {
    const of = parts({ ...judging, max_score: 2 });
    const first = runMining(of)!.artefacts;
    expect(namesIn(of.retrievalFolder)).toEqual([first.lexical!, first.mined!, first.teacher!].sort());
    expect(runMining({ ...of, settings: { ...of.settings, max_score: 0.5 } })!.artefacts.teacher).toBe(first.teacher);
    const other = path.join(folder, "other-teacher");
    Encoder.load(teacher, { queryPrefix: "query: " }).save(other);
    expect(runMining({ ...of, settings: { ...of.settings, teacher: { path: other, kind: "encoder" } } })!.artefacts.teacher).not.toBe(
      first.teacher,
    );
  });

  it("is refused in one line when the folder is no model, or no cross-encoder", () => {
    const empty = path.join(folder, "empty");
    mkdirSync(empty);
    const by =
      (kind: "encoder" | "cross-encoder", place: string): (() => unknown) =>
      () =>
        runMining(parts({ max_score: 2, teacher: { path: place, kind } }));
    expect(faultOf(by("encoder", empty))).toMatch(/tokenizer\.json|config\.json/);
    expect(faultOf(by("cross-encoder", empty))).toMatch(/tokenizer\.json|config\.json/);
    expect(faultOf(by("cross-encoder", teacher))).toMatch(
      /config\.json: id2label: is no cross-encoder's; expected one label.*got 2 labels/,
    );
    expect(faultOf(by("encoder", path.join(folder, "nowhere")))).toMatch(/there is no folder/);
  });
});
