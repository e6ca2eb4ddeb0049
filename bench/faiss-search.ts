/**
 * Searching 16 questions among 100,000 vectors of 384 dimensions, Flat and in lists, against Python's faiss on the very same index file. Needs libfaiss here and faiss in the reference Python.
 * The trap: the two may come with different versions of libfaiss and different BLAS, which the ratio then measures too: FAISS multiplies by BLAS from 20 questions on, hence fewer, and both versions are printed.
 * Run: npx tsx bench/faiss-search.ts
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { engineFacts } from "../src/engine/info.js";
import { manualSeed } from "../src/engine/random.js";
import { scope } from "../src/engine/scope.js";
import { indices, ops, type Tensor } from "../src/engine/tensor.js";
import { buildFaissFile } from "../src/retrieval/faiss-build.js";
import { FaissIndex } from "../src/retrieval/faiss-index.js";
import { faissFacts } from "../src/retrieval/faiss-native.js";
import { NpyWriter } from "../src/storage/npy.js";
import { compete } from "./peer.js";

const [SIZE, DIMENSION, QUERIES, K] = [100_000, 384, 16, 10];
const { threads } = engineFacts();
const folder = mkdtempSync(path.join(tmpdir(), "tandem-bench-"));

manualSeed(0);
const centres_CD = ops.randn([1000, DIMENSION]).keep();

/** Vectors around a thousand centres, as passages lie; rows that follow each other lie around others. */
function write(name: string, rows: number): { file: string; vectors_ND: Tensor } {
  const file = path.join(folder, name);
  const writer = new NpyWriter(file, { columns: DIMENSION, dtype: "float32" });
  const vectors_ND = scope(() => {
    const places_N = indices(Int32Array.from({ length: rows }, (_, row) => (row * 7919) % 1000));
    return ops.randn([rows, DIMENSION]).add(centres_CD.indexSelect(0, places_N).mul(2)).keep();
  });
  writer.append(vectors_ND.toBytes());
  writer.commit();
  return { file, vectors_ND };
}

try {
  const { file: vectors, vectors_ND } = write("vectors.npy", SIZE);
  vectors_ND.dispose();
  const { vectors_ND: queries_QD } = write("queries.npy", QUERIES);
  process.stdout.write(`here: libfaiss ${faissFacts().version}, ${faissFacts().blas}, ${threads} threads\n`);
  for (const { factory, search } of [
    { factory: "Flat", search: "" },
    { factory: "IVF64,Flat", search: "nprobe=8" },
  ]) {
    const file = path.join(folder, "index.faiss");
    const settings = { factory, search, build: "", trainSample: 4096, sampleSeed: 0, reproducible: true, threads };
    await buildFaissFile({ file, vectors, metric: "inner-product", settings });
    const index = FaissIndex.open(file, { metric: "inner-product", size: SIZE, dimension: DIMENSION, threads, search });
    await compete({
      name: `FAISS ${factory} ${search}`.trim(),
      peer: "faiss-search",
      folder,
      input: { search, k: K },
      repeats: 10,
      ours: async () => {
        await index.search(queries_QD, K);
      },
    });
    index.dispose();
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
