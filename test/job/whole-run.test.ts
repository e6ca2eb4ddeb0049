/**
 * Proves, over one small run from start to end, that the two halves of the pair are the ones that are trained: validation asks the trained retriever and not the one it started from, the generator that follows a
 * refresh reads what the trained retriever finds; and that a validation costs one search and one generation for all its questions, and the log one whole line a logged step.
 * Alone: npx vitest run test/job/whole-run.test.ts
 */
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startProfiling, stopProfiling, type TraceEvent } from "../../src/engine/profiler.js";
import { openPair } from "../../src/job/run/open-pair.js";
import { Encoder } from "../../src/retrieval/encoder.js";
import { readProvenance } from "../../src/retrieval/provenance.js";
import { checkpointArtefacts, listCheckpoints } from "../../src/training/checkpoint.js";

import { makeFiles, trainTiny } from "./trained-run.js";

interface Answered {
  readonly question: string;
  readonly passages: readonly { readonly id: string; readonly score: number }[];
}

const SCHEDULE =
  "train.schedule=[{phase: generator, steps: 3}, {phase: contrastive, steps: 4}, {phase: refresh}, {phase: generator, steps: 3, contexts: retrieved}]";
const events: TraceEvent[] = [];
const folder = makeFiles();
let run = "";

beforeAll(async () => {
  startProfiling((event) => events.push(event));
  run = await trainTiny(folder, undefined, [
    SCHEDULE,
    "train.contrastive.lr=1e-2",
    "train.contrastive.warmup=0",
    "train.validate.after_each_phase=true",
    "train.log.every=2",
    "train.checkpoint.keep_last=1",
    "train.checkpoint.keep_best=false",
    "eval.rows=[closed-book, base-pair, trained-pair]",
  ]);
  stopProfiling();
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const linesOf = (file: string): Record<string, unknown>[] =>
  readFileSync(path.join(run, file), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe("validation", () => {
  it("cozyrag 28: asks the trained retriever; the one that the run started from finds with other scores", async () => {
    const answered = linesOf("validation/step-00000007-contrastive.jsonl") as unknown as Answered[];
    const pair = openPair(run);
    const found = await pair.search(
      answered.map(({ question }) => question),
      answered[0]?.passages.length ?? 0,
    );
    pair.dispose();
    const before = linesOf("validation/step-00000003-generator.jsonl") as unknown as Answered[];
    expect(answered.length).toBe(5);
    answered.forEach(({ passages }, q) => {
      expect(passages.map(({ id }) => id)).toEqual(found[q]?.map(({ passage }) => passage.id));
      passages.forEach(({ score }, rank) => expect(score).toBeCloseTo(found[q]?.[rank]?.score ?? NaN, 5));
      expect(Math.abs((before[q]?.passages[0]?.score ?? 0) - (passages[0]?.score ?? 0))).toBeGreaterThan(1e-3);
    });
  });

  it("cozyrag 38: searches once and generates once for all its questions, and opens no model", () => {
    const ends = events.filter(({ name }) => name === "phase ends");
    expect(ends).toHaveLength(5);
    const inside = ({ start, duration }: TraceEvent): string[] =>
      events.filter((event) => event.start >= start && event.start + event.duration <= start + duration).map(({ name }) => name);
    // The fifth is the closed-book phase, which isn't validated.
    ends.slice(0, 4).forEach((end) => {
      expect(inside(end).filter((name) => name === "search")).toHaveLength(1);
      expect(inside(end).filter((name) => name === "generate")).toHaveLength(1);
    });
  });
});

describe("the index of the retriever as the run began", () => {
  it("is kept for the report's base pair, though no checkpoint refers to it any more", () => {
    const encoder = Encoder.load(path.join(run, "start/retriever"));
    const { hash } = encoder;
    encoder.dispose();
    const indexes = readdirSync(path.join(run, "index")).map((name) => path.join(run, "index", name));
    const first = indexes.find((index) => readProvenance(index).encoder === hash) ?? "";
    const evaluation = events.find(({ name }) => name === "evaluation")?.start ?? NaN;
    expect(indexes).toHaveLength(2);
    // Spans count from the millisecond in which the process began.
    expect(statSync(first).mtimeMs).toBeLessThan(Math.floor(performance.timeOrigin) + evaluation / 1000);
  });
});

describe("the generator", () => {
  it("cozyrag 26: that follows a refresh reads what the trained retriever finds", () => {
    const { folder: last } = listCheckpoints(path.join(run, "checkpoints")).at(-1) ?? { folder: "" };
    const { index } = checkpointArtefacts(last);
    const hashOf = (model: string): string => {
      const encoder = Encoder.load(path.join(run, model));
      const { hash } = encoder;
      encoder.dispose();
      return hash;
    };
    const { encoder } = readProvenance(path.join(run, "index", index ?? ""));
    expect(encoder).toBe(hashOf("retriever"));
    expect(encoder).not.toBe(hashOf("start/retriever"));
  });
});

describe("the log", () => {
  it("cozyrag 43: has one whole line for every logged step and for a phase's last, and none besides", () => {
    const lines = linesOf("metrics.jsonl");
    expect(lines.map(({ step, phase }) => `${String(step)} ${String(phase)}`)).toEqual([
      "2 generator",
      "3 generator",
      "4 contrastive",
      "6 contrastive",
      "7 contrastive",
      "10 generator",
      "11 generator",
      "12 closed-book",
    ]);
    for (const line of lines) {
      const terms = Object.keys(line).filter((key) => key.startsWith("loss/"));
      expect(terms.length).toBeGreaterThan(0);
      expect(line["loss"]).toBeTypeOf("number");
      expect(line["gradient_norm"]).toBeTypeOf("number");
    }
  });
});
