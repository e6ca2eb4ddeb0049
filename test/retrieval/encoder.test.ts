/**
 * The encoder without a reference: order is kept, batches change nothing, prefixes and cutting do what they say, the hash follows everything that changes a vector, saving round-trips.
 * Equality with sentence-transformers: encoder-reference.test.ts. Alone: npx vitest run test/retrieval/encoder.test.ts
 */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { noGrad } from "../../src/engine/grad-mode.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { indices, zeroGrads } from "../../src/engine/tensor.js";
import { UserError } from "../../src/errors.js";
import { Encoder, type EncoderOverrides } from "../../src/retrieval/encoder.js";
import { Tokenizer } from "../../src/text/tokenizer.js";
import { goldens, largestDifference } from "../nn/goldens.js";

setThreads(1);
const folder = join(goldens, "bert-tiny");
const tokenizer = Tokenizer.fromFolder(folder);
const encoder = Encoder.load(folder);
const scratch = mkdtempSync(join(tmpdir(), "tandem-encoder-"));
const sizes = { hiddenSize: 40, numHiddenLayers: 2, numAttentionHeads: 4, maxPositionEmbeddings: 64 };
const fresh = (options: EncoderOverrides = {}, seed = 1): Encoder => Encoder.initialise(sizes, tokenizer, seed, { std: 0.3, ...options });

afterAll(() => {
  encoder.dispose();
  rmSync(scratch, { recursive: true });
});

describe("embedding", () => {
  it("gives each text its own vector wherever it stands, in batches of any make-up (property)", () => {
    const words = fc.array(fc.constantFrom("river", "mill", "barley", "Town", "of", "the", "12", "é"), { maxLength: 60 });
    fc.assert(
      fc.property(fc.array(words, { minLength: 1, maxLength: 8 }), (lists) => {
        scope(() => {
          const texts = lists.map((list) => list.join(" "));
          const together_ND = encoder.embed(texts);
          expect(together_ND.shape).toEqual([texts.length, 40]);
          expect(together_ND.requiresGrad).toBe(false);
          texts.forEach((text, row) =>
            expect(largestDifference(together_ND.select(0, row), encoder.embed([text]).select(0, 0))).toBeLessThan(1e-5),
          );
        });
      }),
      { numRuns: 25 },
    );
  });

  it("keeps the order over many batches, and nothing but the result", () => {
    // 300 texts of up to 48 tokens are several batches of 4,096.
    const texts = Array.from({ length: 300 }, (_, i) => `text ${i} `.repeat(1 + ((i * 7) % 20)));
    const before = liveTensors().tensors;
    const all_ND = encoder.embed(texts);
    expect(liveTensors().tensors).toBe(before + 1);
    scope(() => {
      for (const row of [0, 1, 77, 150, 298, 299]) {
        expect(largestDifference(all_ND.select(0, row), encoder.embed([texts[row]!]).select(0, 0))).toBeLessThan(1e-5);
      }
    });
    all_ND.dispose();
  });

  it("of no texts is an empty matrix, of an empty text a vector", () => {
    scope(() => {
      expect(encoder.embed([]).shape).toEqual([0, 40]);
      expect(encoder.embed([""]).linalgVectorNorm().item()).toBeCloseTo(1, 5);
    });
  });

  it("has length one if it says so, and not otherwise", () => {
    const [unit, raw] = [fresh(), fresh({ normalise: false })];
    scope(() => {
      expect(unit.embed(["a river"]).linalgVectorNorm().item()).toBeCloseTo(1, 5);
      expect(Math.abs(raw.embed(["a river"]).linalgVectorNorm().item() - 1)).toBeGreaterThan(0.1);
    });
    [unit, raw].forEach((made) => made.dispose());
  });

  it("puts prefixes before questions and passages, and none without a role", () => {
    const made = fresh({ queryPrefix: "question: ", passagePrefix: "passage: " });
    scope(() => {
      expect(largestDifference(made.embedQueries(["a mill"]), made.embed(["question: a mill"]))).toBe(0);
      expect(largestDifference(made.embedPassages(["a mill"]), made.embed(["passage: a mill"]))).toBe(0);
      expect(largestDifference(made.embed(["a mill"]), made.embedQueries(["a mill"]))).toBeGreaterThan(0.01);
    });
    made.dispose();
  });

  it("cuts at the longest input, special tokens included and kept", () => {
    const made = fresh({ maxTokens: 8 });
    const [long, short] = made.tokenise(["river ".repeat(50), "mill"]);
    const whole = tokenizer.encode("river ".repeat(50));
    expect([...long!]).toEqual([...whole.slice(0, 7), tokenizer.tokenId("[SEP]")]);
    expect([...short!]).toEqual([...tokenizer.encode("mill")]);
    made.dispose();
  });
});

describe("embedding with gradients", () => {
  it("gives the numbers of embed, reaches every parameter, and drops out only when told to", () => {
    const made = Encoder.load(folder, { dropout: 0.3 });
    const rows = made.tokenise(["a mill on the river", "barley"]);
    scope(() => {
      const embedded_BD = made.embedIds(rows);
      expect(embedded_BD.requiresGrad).toBe(true);
      expect(largestDifference(embedded_BD, made.embedTokens(rows))).toBeLessThan(1e-6);
      // A plain sum has no gradient along a normalised vector's norms; weights break the symmetry.
      embedded_BD
        .mul(indices([1, 3], [2, 1]))
        .square()
        .add(embedded_BD)
        .sum()
        .backward();
      for (const [name, { grad }] of made.parameters) {
        // The key's bias shifts all scores of a query alike, which softmax doesn't see.
        if (!name.endsWith("key.bias")) expect(grad!.abs().amax().item(), name).toBeGreaterThan(0);
      }
      zeroGrads(made.parameters.values());
      const dropped = noGrad(() => made.embedIds(rows, { dropout: { seed: 1, step: 2, examples_B: indices([4, 5]) } }));
      expect(largestDifference(dropped, embedded_BD)).toBeGreaterThan(0.01);
    });
    made.dispose();
  });
});

describe("the hash", () => {
  it("is that of the content: equal after saving and loading, different for everything that changes a vector", () => {
    const made = fresh();
    made.save(join(scratch, "hashed"));
    const again = Encoder.load(join(scratch, "hashed"));
    expect(again.hash).toBe(made.hash);
    expect(made.hash).toMatch(/^[0-9a-f]{64}$/);
    const variants = [
      fresh({}, 2),
      ...[{ pooling: "cls" }, { normalise: false }, { maxTokens: 63 }, { queryPrefix: "q" }, { passagePrefix: "q" }].map((options) =>
        fresh(options as EncoderOverrides),
      ),
    ];
    const hashes = variants.map((variant) => variant.hash);
    expect(new Set([...hashes, made.hash]).size).toBe(7);
    noGrad(() => made.parameters.get("encoder.layer.1.output.dense.bias")!.add_(1e-6));
    expect(made.hash).not.toBe(again.hash);
    [made, again, ...variants].forEach((one) => one.dispose());
  });
});

describe("bad input", () => {
  function refusal(body: () => unknown): string {
    try {
      body();
    } catch (error) {
      if (error instanceof UserError) return error.message;
      throw error;
    }
    throw new Error("nothing was thrown");
  }

  it("a tokenizer of another model, a length that the model doesn't have", () => {
    expect(refusal(() => Encoder.initialise({ ...sizes, vocabSize: 50 }, tokenizer, 1))).toMatch(
      /tokenizer doesn't belong to the model; expected at most 50 tokens/,
    );
    expect(refusal(() => Encoder.load(folder, { maxTokens: 65 }))).toMatch(
      /longest input: does not fit the model; expected from 3 to 64 tokens, got 65/,
    );
    expect(refusal(() => fresh({ maxTokens: 2 }))).toMatch(/got 2/);
  });

  it("a folder without a tokenizer, with a broken one, of a language model, or none at all", () => {
    const broken = join(scratch, "broken");
    cpSync(folder, broken, { recursive: true });
    writeFileSync(join(broken, "tokenizer.json"), "{");
    expect(refusal(() => Encoder.load(broken))).toMatch(/tokenizer\.json/);
    rmSync(join(broken, "tokenizer.json"));
    expect(refusal(() => Encoder.load(broken))).toMatch(/tokenizer\.json/);
    expect(refusal(() => Encoder.load(join(goldens, "gpt2-tiny")))).toMatch(
      /model_type: is not an encoder that is known here; expected bert, got "gpt2"/,
    );
    expect(refusal(() => Encoder.load(join(scratch, "gone")))).toMatch(/gone/);
  });
});
