/**
 * Proves that our flat files are FAISS's byte for byte, that FAISS itself opens them and finds what we find, and that hostile and truncated files are refused in one line.
 * Alone: npx vitest run test/retrieval/flat-file.test.ts
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { readFlatFile, writeFlatFile } from "../../src/retrieval/flat-file.js";
import { NpyWriter } from "../../src/storage/npy.js";
import { goldens, goldenTensors } from "../nn/goldens.js";
import { referenceMissing, runPython } from "../nn/reference-python.js";
import { faultOf, namesIn, temporaryFolder } from "../storage/bad-input.js";

const folder = temporaryFolder();
const golden = goldenTensors("faiss.expected.safetensors");
const vectors = golden.get("vectors")!.toBytes();

const file = (name: string): string => path.join(folder, name);
const npy = ((): string => {
  const writer = new NpyWriter(file("vectors.npy"), { columns: 32, dtype: "float32" });
  writer.append(vectors);
  writer.commit();
  return file("vectors.npy");
})();

const KINDS = [
  ["flat_ip.faiss", "inner-product"],
  ["flat_l2.faiss", "l2"],
] as const;

describe("a flat file", () => {
  it.each(KINDS)("%s is written byte for byte as FAISS writes it", (name, metric) => {
    writeFlatFile(file(name), npy, metric);
    expect(Buffer.compare(readFileSync(file(name)), readFileSync(path.join(goldens, "faiss", name)))).toBe(0);
  });

  it("of cosine is an inner-product index, for its rows are of length one", () => {
    writeFlatFile(file("cosine.faiss"), npy, "cosine");
    expect(Buffer.compare(readFileSync(file("cosine.faiss")), readFileSync(path.join(goldens, "faiss/flat_ip.faiss")))).toBe(0);
  });

  it.each(KINDS)("%s of FAISS's is read with its metric and its vectors", (name, metric) => {
    const { vectors_ND, ...facts } = readFlatFile(path.join(goldens, "faiss", name));
    expect(facts).toEqual({ metric, size: 1500, dimension: 32 });
    expect(Buffer.compare(vectors_ND, vectors)).toBe(0);
  });

  it.skipIf(referenceMissing !== undefined)(
    `is opened and searched by FAISS itself${referenceMissing === undefined ? "" : `: ${referenceMissing}`}`,
    () => {
      const program = `
import sys, json, faiss, numpy as np
out = []
for path in json.loads(sys.argv[1]):
    index = faiss.read_index(path)
    vectors = index.reconstruct_n(0, 3)
    scores, ids = index.search(vectors, 1)
    out.append([index.ntotal, index.d, type(index).__name__, ids[:, 0].tolist()])
print(json.dumps(out))`;
      const answer = runPython(program, [file("flat_ip.faiss"), file("flat_l2.faiss")]);
      expect(answer).toEqual([
        [1500, 32, "IndexFlatIP", [0, 1, 2]],
        [1500, 32, "IndexFlatL2", [0, 1, 2]],
      ]);
    },
  );

  it("of no vectors at all is read back", () => {
    const writer = new NpyWriter(file("empty.npy"), { columns: 3, dtype: "float32" });
    writer.commit();
    writeFlatFile(file("empty.faiss"), file("empty.npy"), "l2");
    expect(readFlatFile(file("empty.faiss"))).toMatchObject({ metric: "l2", size: 0, dimension: 3 });
  });
});

describe("a damaged flat file", () => {
  const whole = readFileSync(path.join(goldens, "faiss/flat_l2.faiss"));
  const damaged = (edit: (bytes: Buffer) => Buffer): string => {
    writeFileSync(file("damaged.faiss"), edit(Buffer.from(whole)));
    return faultOf(() => readFlatFile(file("damaged.faiss")));
  };

  it("is refused when it is cut short, empty or too long", () => {
    for (const length of [whole.length - 1, 46, 45])
      expect(damaged((bytes) => bytes.subarray(0, length))).toContain("header does not fit its size");
    for (const length of [44, 4, 0]) expect(damaged((bytes) => bytes.subarray(0, length))).toContain("is no flat FAISS index");
    expect(damaged((bytes) => Buffer.concat([bytes, Buffer.from([0])]))).toContain("header does not fit its size");
  });

  it("is refused when it is another kind, naming the two that are read", () => {
    expect(damaged((bytes) => Buffer.concat([Buffer.from("IwFl"), bytes.subarray(4)]))).toMatch(
      /expected IxFI or IxF2, got "IwFl"; rebuild it: tandem index/,
    );
    expect(damaged((bytes) => Buffer.concat([Buffer.from("\n\u0000\u001b["), bytes.subarray(4)]))).toContain("is no flat FAISS index");
  });

  it.each<[string, (bytes: Buffer) => unknown]>([
    ["a dimension of 0", (bytes) => bytes.writeInt32LE(0, 4)],
    ["a negative dimension", (bytes) => bytes.writeInt32LE(-32, 4)],
    ["a dimension that doesn't divide", (bytes) => bytes.writeInt32LE(31, 4)],
    ["a negative size", (bytes) => bytes.writeBigInt64LE(-1500n, 8)],
    ["a size of 2^62", (bytes) => bytes.writeBigInt64LE(2n ** 62n, 8)],
    ["a count of 2^64 − 1", (bytes) => bytes.writeBigUInt64LE(2n ** 64n - 1n, 37)],
    ["a count of another size", (bytes) => bytes.writeBigUInt64LE(47999n, 37)],
    ["the other kind's metric", (bytes) => bytes.writeInt32LE(0, 33)],
  ])("is refused when its header says %s", (_, edit) => {
    expect(
      damaged((bytes) => {
        edit(bytes);
        return bytes;
      }),
    ).toContain("header does not fit its size");
  });

  it("is never half written: a source that is no matrix leaves nothing", () => {
    const writer = new NpyWriter(file("whole.npy"), { columns: 2, dtype: "int32" });
    writer.append(new Uint8Array(8));
    writer.commit();
    const before = namesIn(folder);
    expect(faultOf(() => writeFlatFile(file("never.faiss"), file("whole.npy"), "l2"))).toContain("is no matrix of vectors");
    expect(faultOf(() => writeFlatFile(path.join(npy, "never.faiss"), npy, "l2"))).toContain("vectors.npy");
    expect(namesIn(folder)).toEqual(before);
  });
});
