/**
 * Proves that FAISS's own files are opened with FAISS's own results and ours by Python's faiss, that building is seeded and the same at every build, that work leaves the JavaScript thread alone and its memory
 * is told to V8, and that wrong arguments and damaged, foreign or unsearchable files are refused in one line.
 * Alone: npx vitest run test/retrieval/faiss-index.test.ts
 */
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { fromBytes, toFloat32Array } from "../../src/engine/tensor.js";
import { UserError } from "../../src/errors.js";
import { searchAllowed } from "../../src/retrieval/allowed-search.js";
import { ExactIndex } from "../../src/retrieval/exact-index.js";
import { buildFaissFile, sampledRows } from "../../src/retrieval/faiss-build.js";
import { FaissIndex } from "../../src/retrieval/faiss-index.js";
import { FaissError, nativeFaiss } from "../../src/retrieval/faiss-native.js";
import { emptyIndex, requireFaissSettings } from "../../src/retrieval/faiss-settings.js";
import type { Metric } from "../../src/retrieval/index-contract.js";
import { hashFile } from "../../src/storage/content-hash.js";
import { NpyWriter } from "../../src/storage/npy.js";
import { runWithCollector } from "../engine/child-process.js";
import { goldens, goldenTensors } from "../nn/goldens.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { missingPython, runPython } from "../storage/reference-python.js";
import { normals } from "../training/central-differences.js";
import { faissMissing, settingsOf } from "./faiss-here.js";
import { searchIn, unitLength } from "./index-conformance.js";

const folder = temporaryFolder();
const file = (name: string): string => path.join(folder, name);
const golden = goldenTensors("faiss.expected.safetensors");
const [vectors, queries] = [toFloat32Array(golden.get("vectors")!), toFloat32Array(golden.get("queries")!)];
const GOLDEN = { metric: "inner-product", size: 1500, dimension: 32, threads: 1 } as const;
const goldenFile = (name: string): string => path.join(goldens, "faiss", `${name}.faiss`);
const referenceMissing = missingPython("faiss", "numpy");

function npy(name: string, columns: number, values: Float32Array | Int32Array): string {
  const writer = new NpyWriter(file(name), { columns, dtype: values instanceof Int32Array ? "int32" : "float32" });
  writer.append(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  writer.commit();
  return file(name);
}

async function built(name: string, factory: string, metric: Metric = "inner-product", change: object = {}): Promise<string> {
  const settings = settingsOf(factory, "", change);
  await buildFaissFile({ file: file(name), vectors: npy(`${name}.npy`, 32, vectors), metric, settings });
  return file(name);
}

/** The refusal, which must be a UserError of one line. */
async function refusal(body: () => Promise<unknown>): Promise<string> {
  try {
    await body();
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).not.toContain("\n");
    return (error as Error).message;
  }
  throw new Error("nothing was refused");
}

const opened = (path_: string, change: object = {}): Promise<unknown> => {
  const index = FaissIndex.open(path_, { ...GOLDEN, rebuild: "tandem index --run r --rebuild", ...change });
  return searchIn(index, queries, 5).finally(() => {
    index.dispose();
  });
};

describe.skipIf(faissMissing !== undefined)(`FAISS${faissMissing === undefined ? "" : `: ${faissMissing}`}`, () => {
  describe("files of Python's faiss", () => {
    it.each([
      ["flat_ip", "", "inner-product"],
      ["flat_l2", "", "l2"],
      ["ivf", "nprobe=4", "inner-product"],
      ["hnsw", "efSearch=64", "inner-product"],
      ["sq8", "", "inner-product"],
      ["ivfpq", "nprobe=8", "inner-product"],
    ] as const)("%s with '%s' finds what Python found, scores within 1e-5", async (name, search, metric) => {
      const index = FaissIndex.open(goldenFile(name), { ...GOLDEN, metric, search });
      const found = await searchIn(index, queries, 5);
      index.dispose();
      expect([...found.ids_QK]).toEqual([...toFloat32Array(golden.get(`${name}.ids`)!)]);
      const scores = toFloat32Array(golden.get(`${name}.scores`)!);
      found.scores_QK.forEach((score, i) => expect(Math.abs(score - scores[i]!)).toBeLessThan(1e-5));
    });
  });

  it.skipIf(referenceMissing !== undefined)(
    `Python's faiss opens what is built here and finds the same${referenceMissing === undefined ? "" : `: ${referenceMissing}`}`,
    async () => {
      const kinds = [
        ["Flat", "inner-product", ""],
        ["IVF16,Flat", "l2", "nprobe=5"],
        ["HNSW8", "l2", "efSearch=32"],
        ["IDMap,SQ8", "inner-product", ""],
        ["IVF8,PQ8x4np,RFlat", "inner-product", "nprobe=8,k_factor_rf=20"],
        ["PCA16,SQfp16", "l2", ""],
      ] as const;
      const program = `
import sys, json, faiss, numpy as np
faiss.omp_set_num_threads(1)
queries = np.load(sys.argv[1]); out = []
for path, search in json.loads(sys.argv[2]):
    index = faiss.read_index(path)
    if search: faiss.ParameterSpace().set_index_parameters(index, search)
    D, I = index.search(queries, 5); out.append([I.flatten().tolist(), D.flatten().tolist()])
print(json.dumps(out))`;
      const made: string[] = [];
      for (const [i, [factory, metric]] of kinds.entries()) made.push(await built(`ours-${i}.faiss`, factory, metric));
      const asked = JSON.stringify(kinds.map(([, , search], i) => [made[i], search]));
      const answers = JSON.parse(runPython(program, npy("queries.npy", 32, queries), asked)) as [number[], number[]][];
      for (const [i, [factory, metric, search]] of kinds.entries()) {
        const index = FaissIndex.open(made[i]!, { ...GOLDEN, metric, search });
        const found = await searchIn(index, queries, 5);
        index.dispose();
        // Another version walks a graph in another order and may end with other neighbours.
        if (factory.startsWith("HNSW")) {
          const same = found.ids_QK.filter((row, at) => answers[i]![0].slice(at - (at % 5), at - (at % 5) + 5).includes(row)).length;
          expect(same / found.ids_QK.length).toBeGreaterThan(0.9);
          continue;
        }
        expect([...found.ids_QK], factory).toEqual(answers[i]![0]);
        found.scores_QK.forEach((score, at) => expect(Math.abs(score - answers[i]![1][at]!)).toBeLessThan(1e-4));
      }
    },
  );

  describe("a build", () => {
    it.each([
      ["IVF16,Flat", 2],
      ["HNSW8", 2],
      ["IVF8_HNSW4,SQ8", 2],
      ["IVF8,PQ4x4np", 1],
      ["PCA8,SQ4", 1],
    ])("of %s has the same bytes every time, asked for %i threads", async (factory, threads) => {
      const digests: string[] = [];
      for (const name of ["a", "b"]) digests.push(hashFile(await built(`${name}.faiss`, factory, "l2", { threads })));
      expect(digests[1]).toBe(digests[0]);
    });

    it("trains on a sample that its seed draws, and warns when FAISS wants more", async () => {
      const warnings: string[] = [];
      const build = async (name: string, change: object): Promise<string> => {
        const settings = settingsOf("IVF16,Flat", "", { trainSample: 300, ...change });
        const warn = (text: string): unknown => warnings.push(text);
        await buildFaissFile({ file: file(name), vectors: npy("sample.npy", 32, vectors), metric: "l2", settings, warn });
        return hashFile(file(name));
      };
      const first = await build("seed.faiss", { sampleSeed: 1 });
      expect(await build("seed.faiss", { sampleSeed: 1 })).toBe(first);
      expect(await build("seed.faiss", { sampleSeed: 2 })).not.toBe(first);
      expect(warnings[0]).toBe(
        '"IVF16,Flat" is trained on 300 vectors for 16 centroids; FAISS wants at least 624: raise index.train_sample',
      );
      warnings.length = 0;
      await build("seed.faiss", { trainSample: null });
      expect(warnings).toEqual([]);
    });

    it("draws each row of a sample once, in order, and all rows when it may", () => {
      const rows = [...sampledRows(1000, 100, 7)];
      expect(new Set(rows).size).toBe(100);
      expect(rows).toEqual(rows.toSorted((a, b) => a - b));
      expect(rows.at(-1)).toBeLessThan(1000);
      expect([...sampledRows(5, 5, 1)]).toEqual([0, 1, 2, 3, 4]);
    });

    it("adds every row, in blocks", async () => {
      const done: [number, number][] = [];
      const many = Float32Array.from(normals(3, 300 * 32768));
      const settings = settingsOf("SQ8", "", { trainSample: 10 });
      await buildFaissFile({
        file: file("blocks.faiss"),
        vectors: npy("blocks.npy", 32768, many),
        metric: "l2",
        settings,
        progress: (...figures) => done.push(figures),
      });
      expect(done).toEqual([
        [128, 300],
        [256, 300],
        [300, 300],
      ]);
    });

    it.each([
      ["IVF2000,Flat", "vectors", /index\.factory "IVF2000,Flat".*1500.*2000.*; choose fewer centroids, or index\.factory=null/],
      ["Flot", "vectors", /index\.factory: FAISS [\d.]+ can't make "Flot" of dimension 32, l2: could not parse/],
      ["PQ5", "vectors", /should be a multiple/],
      ["PQ0", "vectors", /number 0 in "PQ0" is out of range/],
      ["HNSW1", "vectors", /number of neighbours 1/],
      ["IVF99999999999,Flat", "vectors", /is out of range/],
      ["Flat", "nan", /row 1 holds what is no finite number/],
      ["Flat", "whole", /is no matrix of vectors; expected float32 \(N, D\), got int32/],
    ])("of %s from %s is refused", async (factory, input, message) => {
      const inputs = {
        vectors: () => npy("sound.npy", 32, vectors),
        nan: () => npy("nan.npy", 2, Float32Array.from([1, 2, 3, NaN])),
        whole: () => npy("whole.npy", 2, Int32Array.from([1, 2, 3, 4])),
      };
      const source = inputs[input as keyof typeof inputs]();
      const build = (): Promise<void> =>
        buildFaissFile({ file: file("never.faiss"), vectors: source, metric: "l2", settings: settingsOf(factory) });
      expect(await refusal(build)).toMatch(message);
    });

    it("for fewer vectors than centroids is refused before anything is embedded", async () => {
      const settings = settingsOf("IVF64_HNSW32,SQ8", "nprobe=4,quantizer_efSearch=16");
      expect(await refusal(() => Promise.resolve().then(() => requireFaissSettings(settings, 32, "l2", 63)))).toMatch(
        /trains 64 centroids from 63 vectors; .*choose fewer/,
      );
      expect(() => requireFaissSettings(settings, 32, "l2", 64)).not.toThrow();
      expect(() => requireFaissSettings(settings, 32, "l2")).not.toThrow();
    });

    it("is never what conf/experiment/wikipedia.yaml asks for", () => {
      const { index } = loadConfig({ overrides: ["experiment=wikipedia"], needed: [], environment: {} }).config;
      const settings = settingsOf(index.factory ?? "", index.search);
      expect(() => requireFaissSettings(settings, 384, index.metric, 21e6)).not.toThrow();
    });

    it.each([
      ["nprobe=4", /index\.search: can't be set to "nprobe=4" for "HNSW8": this index has no parameter nprobe/],
      ["efSearch=0", /efSearch=0 is out of range/],
      ["efSearch=99999999", /is out of range/],
      ["efSearch", /is no name=number/],
      ["efSearch=1.5", /efSearch=1\.5 is no whole number/],
      ["verbose=1", /verbose is no search parameter/],
    ])("with search parameters %s is refused", async (search, message) => {
      expect(await refusal(() => Promise.resolve(emptyIndex(settingsOf("HNSW8", search), 32, "l2")))).toMatch(message);
    });
  });

  describe("a file that is", () => {
    const damaged = (edit: (bytes: Buffer) => Uint8Array, from = "ivf"): string => {
      writeFileSync(file("damaged.faiss"), edit(Buffer.from(readFileSync(goldenFile(from)))));
      return file("damaged.faiss");
    };
    const mend = /; rebuild it: tandem index --run r --rebuild$/;

    it("missing is refused at once", () => {
      expect(() => FaissIndex.open(file("none.faiss"), GOLDEN)).toThrow(/no such file; rebuild it: tandem index$/);
    });

    it("cut short is refused wherever it is cut, without the memory that it claims", async () => {
      const whole = readFileSync(goldenFile("ivf")).length;
      for (const length of [0, 3, 10, 40, 100, 5000, whole - 1])
        expect(await refusal(() => opened(damaged((bytes) => bytes.subarray(0, length))))).toMatch(mend);
      const claims = damaged((bytes) => (bytes.writeBigInt64LE(1n << 37n, 37), bytes), "flat_ip");
      expect(await refusal(() => opened(claims))).toMatch(/is cut short/);
    });

    it("longer than its index, another format or a folder is refused", async () => {
      expect(await refusal(() => opened(damaged((bytes) => Buffer.concat([bytes, bytes]))))).toMatch(/holds more than one index/);
      expect(await refusal(() => opened(damaged(() => Buffer.from("PK\u0003\u0004 something else"))))).toMatch(/is no FAISS index/);
      expect(await refusal(() => opened(folder))).toMatch(/is not a regular file/);
    });

    it("of a kind that can't be searched for rows is refused", async () => {
      const binary = damaged((bytes) => (bytes.write("IBxF", "latin1"), bytes), "flat_ip");
      expect(await refusal(() => opened(binary))).toMatch(/is no FAISS index that can be searched: Index type .*IBxF/);
    });

    it.skipIf(referenceMissing !== undefined)("of ids that are no rows, or a codec, is refused", async () => {
      runPython(
        `
import sys, faiss, numpy as np
x = np.random.RandomState(0).rand(1500, 32).astype("f4")
index = faiss.IndexIDMap(faiss.IndexFlatIP(32)); index.add_with_ids(x, np.arange(1500) + 10**12); faiss.write_index(index, sys.argv[1])
index = faiss.IndexFlat(32, faiss.METRIC_L1); index.add(x); faiss.write_index(index, sys.argv[2])
index = faiss.ResidualCoarseQuantizer(32, 2, 4); index.train(x); faiss.write_index(index, sys.argv[3])`,
        file("ids.faiss"),
        file("l1.faiss"),
        file("codec.faiss"),
      );
      expect(await refusal(() => opened(file("ids.faiss")))).toMatch(/an id is no row/);
      expect(await refusal(() => opened(file("l1.faiss")))).toMatch(/neither inner product nor L2/);
      expect(await refusal(() => opened(file("codec.faiss")))).toMatch(/can't be searched for rows/);
    });

    it("not trained is refused", async () => {
      const native = emptyIndex(settingsOf("IVF16,Flat"), 32, "inner-product");
      await native.write(file("untrained.faiss"));
      native.dispose();
      expect(await refusal(() => opened(file("untrained.faiss"), { size: 0 }))).toMatch(/the index isn't trained/);
    });

    it("of another size, dimension or metric, or of other bytes, is refused", async () => {
      const at = goldenFile("sq8");
      expect(await refusal(() => opened(at, { size: 1499 }))).toMatch(
        /does not fit its provenance; expected 1499 × 32, inner-product, got 1500 × 32/,
      );
      expect(await refusal(() => opened(at, { metric: "l2" }))).toMatch(/expected 1500 × 32, l2/);
      expect(await refusal(() => opened(at, { digest: "0".repeat(64) }))).toMatch(/is damaged: it isn't the file that was built/);
      copyFileSync(at, file("copy.faiss"));
      await opened(file("copy.faiss"), { digest: hashFile(at) });
    });

    it("damaged inside its tables is refused and never ends the process", async () => {
      const nodes = readFileSync(goldenFile("hnsw"));
      for (const place of [4, 12, 33, 60, 200, 4000, 13000, nodes.length >> 1])
        await opened(damaged((bytes) => (bytes.writeInt32LE(0x7fffffff, place), bytes), "hnsw")).catch((error: unknown) => {
          expect(error).toBeInstanceOf(UserError);
        });
    });
  });

  describe("the add-on", () => {
    it("refuses wrong arguments with a typed error and goes on", async () => {
      const native = emptyIndex(settingsOf("IVF4,Flat"), 32, "l2");
      const rows = vectors.slice(0, 320);
      const wrong: (() => Promise<unknown>)[] = [
        () => native.add(rows, 1),
        () => native.search(rows, 1, 1),
        () => native.train(vectors.slice(0, 2 * 32), 1),
        () => native.train(rows.slice(1), 1),
        () => native.train([1, 2] as unknown as Float32Array, 1),
        () => native.search(rows, 0, 1),
        () => native.search(rows, -3, 1),
        () => native.search(rows, NaN, 1),
        () => native.search(rows, 1, 0),
        () => native.write("a\0b"),
        () => native.write(path.join(folder, "none/index.faiss")),
        () => Promise.resolve(nativeFaiss().create(0, "Flat", "l2")),
        () => Promise.resolve(nativeFaiss().create(3, "Flat", "l1" as "l2")),
        () => Promise.resolve(nativeFaiss().create(3, "", "l2")),
        () => nativeFaiss().read(folder),
      ];
      for (const [i, body] of wrong.entries()) await expect(Promise.resolve().then(body), String(i)).rejects.toThrow(FaissError);
      await native.train(vectors, 1);
      await native.add(vectors, 1);
      const infinite = vectors.slice(0, 64);
      infinite[40] = Infinity;
      await expect(native.search(infinite, 1, 1)).rejects.toThrow("query 1 holds what is no finite number");
      expect((await native.search(rows, 3, 1)).ids).toHaveLength(30);
      native.dispose();
      expect(() => native.facts()).toThrow("the index is disposed of");
    });

    it("leaves the JavaScript thread free while it works, and may be disposed of meanwhile", async () => {
      const native = emptyIndex(settingsOf("HNSW16"), 32, "l2");
      let ticks = 0;
      const ticking = setInterval(() => ticks++, 1);
      const adding = native.add(Float32Array.from(normals(5, 6000 * 32)), 1);
      expect(() => native.setParameters("efSearch=20")).not.toThrow(TypeError);
      await adding;
      clearInterval(ticking);
      expect(ticks).toBeGreaterThan(20);
      const searching = native.search(vectors, 5, 1);
      native.dispose();
      expect((await searching).ids).toHaveLength(7500);
    });

    it("tells V8 of its memory and takes it back", () => {
      // In a process of its own: the collector takes indexes and buffers of other tests when it likes.
      const { status, out, error } = runWithCollector(`
        const { nativeFaiss } = await engine("../retrieval/faiss-native");
        const rows = new Float32Array(300_000 * 32);
        const told = () => (gc(), nativeFaiss().externalMemory() - process.memoryUsage().arrayBuffers);
        const before = told();
        const native = nativeFaiss().create(32, "Flat", "l2");
        await native.add(rows, 1);
        const [bytes, held] = [native.facts().bytes, told() - before];
        native.dispose();
        console.log(JSON.stringify({ bytes, held, left: told() - before }));
      `);
      expect(status, error).toBe(0);
      const { bytes, held, left } = JSON.parse(out) as Record<string, number>;
      const rows = 300_000 * 32 * 4;
      expect(bytes).toBeGreaterThanOrEqual(rows);
      expect(held).toBeGreaterThan(rows * 0.9);
      expect(left).toBeLessThan(rows * 0.1);
    });
  });

  describe("a search among allowed rows", () => {
    it("is full though the lists end early, and finds most of what exact search finds", async () => {
      const rows = unitLength(Float32Array.from(normals(8, 3000 * 16)), 16);
      const asked = unitLength(Float32Array.from(normals(9, 100 * 16)), 16);
      const exact = (): ExactIndex => ExactIndex.over(fromBytes(rows, "f32", [3000, 16]), { metric: "cosine" });
      const native = emptyIndex(settingsOf("IVF64,Flat", "nprobe=12"), 16, "cosine");
      await native.train(rows, 1);
      await native.add(rows, 1);
      const index = FaissIndex.over(native, { metric: "cosine", threads: 1, exact });
      const truth = exact();
      const isAllowed = (row: number): boolean => row % 5 === 0;
      const questions = Array.from({ length: 100 }, (_, q) => String(q));
      const queriesOf = (texts: readonly string[]): Float32Array =>
        Float32Array.from(texts.flatMap((text) => [...asked.subarray(Number(text) * 16, Number(text) * 16 + 16)]));
      const among = (searched: FaissIndex | ExactIndex, k: number): ReturnType<typeof searchAllowed> =>
        searchAllowed(
          {
            store: { size: 3000 },
            searchRows: (texts, depth) => searchIn(searched, queriesOf(texts), depth),
            searchAllRows: (texts, depth) => searchIn(truth, queriesOf(texts), depth),
          },
          questions,
          k,
          isAllowed,
        );
      const recall = async (k: number): Promise<[number, number]> => {
        const [found, best] = [await among(index, k), await among(truth, k)];
        expect([found.k, best.k, best.exhausted]).toEqual([k, k, 0]);
        expect(found.rows_QK.every(isAllowed)).toBe(true);
        let hits = 0;
        for (let q = 0; q < 100; q++) {
          const wanted = new Set(best.rows_QK.subarray(q * k, (q + 1) * k));
          for (const row of found.rows_QK.subarray(q * k, (q + 1) * k)) if (wanted.has(row)) hits++;
        }
        return [hits / (100 * k), found.exhausted];
      };
      const [few, many] = [await recall(5), await recall(150)];
      process.stdout.write(`recall among allowed rows: ${few[0]} at 5 (${few[1]} exhausted), ${many[0]} at 150 (${many[1]} exhausted)\n`);
      expect(few[0]).toBeGreaterThan(0.7);
      expect(few[1]).toBe(0);
      // Twelve of 64 lists hold some 110 allowed rows: every question is searched through all rows.
      expect(many).toEqual([1, 100]);
      index.dispose();
      truth.dispose();
    });
  });
});
