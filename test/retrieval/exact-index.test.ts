/**
 * Proves that the exact index is an index (index-conformance.ts) in blocks of any size, equals FAISS's flat indexes on the golden set, and refuses files that are no vectors.
 * Alone: npx vitest run test/retrieval/exact-index.test.ts
 */
import { closeSync, ftruncateSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { fromBytes, toFloat32Array } from "../../src/engine/tensor.js";
import { UserError } from "../../src/errors.js";
import { ExactIndex } from "../../src/retrieval/exact-index.js";
import { METRICS, type Metric } from "../../src/retrieval/index-contract.js";
import { longestView } from "../../src/storage/memory-map.js";
import { formatNpyHeader } from "../../src/storage/npy-header.js";
import { NpyWriter } from "../../src/storage/npy.js";
import { goldenTensors } from "../nn/goldens.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { normals } from "../training/central-differences.js";
import { describeIndex, searchIn, unitLength } from "./index-conformance.js";

const makeWith =
  (block: number | undefined) =>
  (vectors: Float32Array, dimension: number, metric: Metric, threads = 1): ExactIndex => {
    setThreads(threads);
    return ExactIndex.over(fromBytes(vectors, "f32", [vectors.length / dimension, dimension]), {
      metric,
      ...(block === undefined ? {} : { block }),
    });
  };

for (const metric of METRICS) {
  describeIndex("cozyrag 12: the exact index, metric explicit", metric, makeWith(undefined));
  describeIndex("the exact index in blocks of 7", metric, makeWith(7));
  describeIndex("the exact index in blocks of 1", metric, makeWith(1));
}

const folder = temporaryFolder();

function npy(name: string, columns: number, values: Float32Array | Int32Array): string {
  const file = path.join(folder, name);
  const writer = new NpyWriter(file, { columns, dtype: values instanceof Int32Array ? "int32" : "float32" });
  writer.append(new Uint8Array(values.buffer));
  writer.commit();
  return file;
}

describe("FAISS's flat indexes on the golden set", () => {
  const golden = goldenTensors("faiss.expected.safetensors");
  const [vectors, queries] = [toFloat32Array(golden.get("vectors")!), toFloat32Array(golden.get("queries")!)];

  it.each([
    ["flat_ip", "inner-product"],
    ["flat_ip", "cosine"],
    ["flat_l2", "l2"],
  ] as const)("%s as %s: the same rows, scores within 1e-5", async (name, metric) => {
    const index = makeWith(256)(vectors, 32, metric);
    const found = await searchIn(index, queries, 5);
    index.dispose();
    expect([...found.ids_QK]).toEqual([...toFloat32Array(golden.get(`${name}.ids`)!)]);
    const scores = toFloat32Array(golden.get(`${name}.scores`)!);
    found.scores_QK.forEach((score, i) => expect(Math.abs(score - scores[i]!)).toBeLessThan(1e-5));
  });
});

describe("ExactIndex", () => {
  it("opens an .npy file and searches it as it searches memory", async () => {
    const vectors = unitLength(Float32Array.from(normals(1, 60)), 6);
    const [mapped, held] = [
      ExactIndex.open(npy("vectors.npy", 6, vectors), { metric: "cosine" }),
      makeWith(undefined)(vectors, 6, "cosine"),
    ];
    const queries = Float32Array.from(normals(2, 18));
    expect(await searchIn(mapped, queries, 4)).toEqual(await searchIn(held, queries, 4));
    mapped.dispose();
    held.dispose();
  });

  it.each(["f16", "bf16"] as const)("finds with vectors held as %s what f32 finds, but for near ties", async (dtype) => {
    const vectors = unitLength(Float32Array.from(normals(3, 500 * 24)), 24);
    const file = npy(`${dtype}.npy`, 24, vectors);
    const [half, full] = [ExactIndex.open(file, { metric: "cosine", dtype }), ExactIndex.open(file, { metric: "cosine" })];
    const queries = Float32Array.from(normals(4, 40 * 24));
    const [a, b] = [await searchIn(half, queries, 1), await searchIn(full, queries, 1)];
    // Half an ulp of 8 or 11 bits on the vectors' side; questions and products are f32.
    const tolerance = dtype === "bf16" ? 2 ** -8 : 2 ** -11;
    a.scores_QK.forEach((score, i) => expect(Math.abs(score - b.scores_QK[i]!)).toBeLessThan(tolerance));
    expect(a.ids_QK.filter((id, i) => id === b.ids_QK[i]).length).toBeGreaterThanOrEqual(36);
    // Rounded products would fall together and rank by row.
    expect(new Set((await searchIn(half, queries.subarray(0, 24), 400)).scores_QK).size).toBeGreaterThan(390);
    half.dispose();
    full.dispose();
  });

  it("an l2 distance to itself is 0, never below and never -0", async () => {
    const vectors = Float32Array.from(normals(5, 40 * 16)).map((value) => value * 100);
    const index = makeWith(undefined)(vectors, 16, "l2");
    const found = await searchIn(index, vectors, 1);
    index.dispose();
    for (const score of found.scores_QK) {
      expect(score).toBeGreaterThanOrEqual(0);
      expect(Object.is(score, -0)).toBe(false);
    }
    expect([...found.ids_QK]).toEqual(Array.from({ length: 40 }, (_, i) => i));
  });

  it("opens files longer than any view of JavaScript's, whole or some rows of them", async () => {
    const [rows, dimension, first] = [3_000_000, 384, 2_950_000];
    const file = path.join(folder, "long.npy");
    const header = formatNpyHeader("float32", [rows, dimension]);
    const vectors = unitLength(Float32Array.from(normals(21, 10 * dimension)), dimension);
    // All but ten rows are a hole in the file.
    const descriptor = openSync(file, "w");
    writeSync(descriptor, header);
    ftruncateSync(descriptor, header.length + rows * dimension * 4);
    writeSync(descriptor, new Uint8Array(vectors.buffer), 0, vectors.byteLength, header.length + first * dimension * 4);
    closeSync(descriptor);
    expect(statSync(file).size).toBeGreaterThan(longestView);
    const whole = ExactIndex.open(file, { metric: "cosine" });
    expect(whole.size).toBe(rows);
    whole.dispose();
    const some = ExactIndex.open(file, { metric: "cosine", block: 4 }, { start: first, count: 10 });
    const found = await searchIn(some, vectors, 1);
    some.dispose();
    expect([...found.ids_QK]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    rmSync(file);
  });

  it("refuses a file that holds no matrix of float32", () => {
    const file = npy("whole.npy", 2, Int32Array.from([1, 2, 3, 4]));
    expect(() => ExactIndex.open(file, { metric: "l2" })).toThrow(UserError);
    expect(() => ExactIndex.open(file, { metric: "l2" })).toThrow(
      /is no matrix of vectors; expected float32 \(N, D\), got int32 \(2, 2\); rebuild it/,
    );
    expect(() => ExactIndex.open(path.join(folder, "missing.npy"), { metric: "l2" })).toThrow(UserError);
  });
});
