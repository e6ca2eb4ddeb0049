/**
 * Proves the measurement of drift on a run that was trained: nothing has moved right after a refresh (cosine and overlap 1, regret 0); the further the retriever is moved the smaller the cosine; an overlap that equals a search of
 * both sets of vectors by hand; the same figures however often it is asked; and damaged vectors refused.
 * Alone: npx vitest run test/job/drift.test.ts
 */
import { rmSync, truncateSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadRunConfig } from "../../src/config/load-config.js";
import { passageText } from "../../src/corpus/passage.js";
import { noGrad } from "../../src/engine/grad-mode.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { toFloat32Array } from "../../src/engine/tensor.js";
import { DriftMeter } from "../../src/job/refresh/drift.js";
import { closeRun, openRun, type OpenRun } from "../../src/job/run/open-run.js";
import { readNpy } from "../../src/storage/npy.js";
import { faultOf } from "./fault-of.js";
import { makeFiles, trainTiny } from "./trained-run.js";

const folder = makeFiles();
let run: OpenRun;
let meter: DriftMeter;

/** A probe of all twenty questions and the whole corpus. */
const WORDS = [
  "train.drift.every=1",
  "train.drift.questions=20",
  "train.drift.passages=120",
  "train.drift.depth=3",
  "train.drift.regret=true",
];

beforeAll(async () => {
  const places = await trainTiny(folder, undefined, [
    ...WORDS,
    "train.schedule=[{phase: contrastive, steps: 1}, {phase: refresh}]",
    "eval.rows=[trained-pair]",
    "data.questions.hold_out_passages=false",
  ]);
  const { config } = loadRunConfig(path.join(places, "config.yaml"));
  run = await openRun(config, places, () => undefined);
  meter = new DriftMeter(run, new Set());
}, 120_000);

afterAll(() => {
  closeRun(run);
  rmSync(folder, { recursive: true, force: true });
});

/** Adds `amount` times a fixed pattern to the token embeddings. */
function move(amount: number): void {
  const [weight] = run.encoder.parameters.values();
  if (weight === undefined) throw new Error("no weights");
  scope(() => noGrad(() => void weight.add_(weight.sin().mul(37).sin(), amount)));
}

describe("drift", () => {
  it("is none right after a refresh", async () => {
    const figures = await meter.measure(run.state, 0);
    expect(Object.keys(figures)).toEqual(["drift/cosine", "drift/overlap", "drift/regret"]);
    expect(figures["drift/cosine"]).toBeCloseTo(1, 6);
    expect(figures["drift/overlap"]).toBe(1);
    expect(figures["drift/regret"]).toBe(0);
  });

  it("is the same however often it is asked, and leaves no tensor behind", async () => {
    const first = await meter.measure(run.state, 0);
    const before = liveTensors();
    expect(await meter.measure(run.state, 0)).toEqual(first);
    expect(await new DriftMeter(run, new Set()).measure(run.state, 0)).toEqual(first);
    expect(liveTensors()).toEqual(before);
  });

  it("lowers the cosine with every step away, and its overlap is that of two searches of the whole corpus", async () => {
    const cosines: number[] = [];
    for (let step = 0; step < 3; step++) {
      move(0.2);
      cosines.push((await meter.measure(run.state, 0))["drift/cosine"] ?? NaN);
    }
    expect(cosines[0]).toBeLessThan(1 - 1e-4);
    for (const [i, value] of cosines.slice(1).entries()) expect(value).toBeLessThan(cosines[i] ?? 0);
    const figures = await meter.measure(run.state, 0);
    expect(figures["drift/overlap"]).toBeCloseTo(overlapByHand(3), 12);
    expect(figures["drift/overlap"]).toBeLessThan(1);
    expect(figures["drift/regret"]).not.toBe(0);
  });

  it("has the regret of contexts of as many passages as the entry shows", async () => {
    const { config } = run;
    const [first] = config.train.schedule;
    const regretOf = async (train: Partial<typeof config.train>, entry: number): Promise<number | undefined> => {
      const own = new DriftMeter({ ...run, config: { ...config, train: { ...config.train, ...train } } }, new Set());
      return (await own.measure(run.state, entry))["drift/regret"];
    };
    const entries = [{ passages: 1 }, null].map((own) => ({
      ...first!,
      phase: "generator" as const,
      contexts: "retrieved" as const,
      with: own,
    }));
    const schedule = [...config.train.schedule, ...entries];
    const ofRun = await regretOf({ generator: { ...config.train.generator, passages: 1 } }, 0);
    expect(ofRun).not.toBe(await regretOf({}, 0));
    expect(await regretOf({ schedule }, 2)).toBe(ofRun);
    expect(await regretOf({ schedule }, 3)).toBe(await regretOf({}, 0));
  });

  it("is nothing before there is an index", async () => {
    const { artefacts } = run.state.progress;
    run.state.progress.artefacts = {};
    expect(await meter.measure(run.state, 0)).toEqual({});
    run.state.progress.artefacts = artefacts;
  });

  it("refuses vectors that were cut short", async () => {
    const file = path.join(run.artefacts.indexFolder, run.state.progress.artefacts.index ?? "", "vectors.npy");
    truncateSync(file, 200);
    expect(await faultOf(() => new DriftMeter(run, new Set()).measure(run.state, 0))).toMatch(/vectors\.npy: is cut short/);
  });
});

/** All training questions among all passages, in plain arrays. */
function overlapByHand(k: number): number {
  const { encoder, store, sets, artefacts, state } = run;
  const rows = Array.from({ length: store.size }, (_, row) => row);
  const fresh = toFloat32Array(encoder.embedPassages(rows.map((row) => passageText(store.get(row), artefacts.template))));
  const { data } = readNpy(path.join(artefacts.indexFolder, state.progress.artefacts.index ?? "", "vectors.npy"));
  const stale = new Float32Array(data.slice().buffer);
  const width = encoder.dimension;
  const best = (vectors: Float32Array, query: Float32Array): number[] => {
    const score = (row: number): number => query.reduce((sum, value, d) => sum + value * (vectors[row * width + d] ?? 0), 0);
    return [...rows].sort((a, b) => score(b) - score(a) || a - b).slice(0, k);
  };
  const probed = sets.train.map(({ question }) => toFloat32Array(encoder.embedQueries([question])));
  const shares = probed.map((query) => best(stale, query).filter((row) => best(fresh, query).includes(row)).length / k);
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}
