/** Proves the edit distance and the choice of the nearest key. Alone: npx vitest run test/config/nearest.test.ts */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { didYouMean, editDistance, nearestKeys, nearestNames } from "../../src/config/nearest.js";
import { schema } from "../../src/config/schema.js";
import { schemaKeys } from "../../src/config/schema-keys.js";

const word = fc.string({ maxLength: 12 });

describe("the edit distance", () => {
  it.each([
    ["", "", 0],
    ["abc", "", 3],
    ["kitten", "sitting", 3],
    ["warmpu", "warmup", 1],
    ["ca", "abc", 3],
  ])("of '%s' and '%s' is %d", (left, right, distance) => {
    expect(editDistance(left, right)).toBe(distance);
  });

  it("is symmetric, 0 only for equals, and at most the longer's length", () => {
    fc.assert(
      fc.property(word, word, (left, right) => {
        const distance = editDistance(left, right);
        expect(distance).toBe(editDistance(right, left));
        expect(distance === 0).toBe(left === right);
        expect(distance).toBeLessThanOrEqual(Math.max(left.length, right.length));
        expect(distance).toBeGreaterThanOrEqual(Math.abs(left.length - right.length));
      }),
    );
  });
});

describe("the nearest", () => {
  const keys = schemaKeys(schema);

  it.each([
    ["train.lrr", ["train.generator.lr", "train.contrastive.lr"]],
    ["train.generator.learning_rate", []],
    ["train.generator.warm_up", ["train.generator.warmup"]],
    ["retreiver.path", ["retriever.path"]],
    ["penalties.keyword.directoin", ["train.penalties.keyword.direction"]],
    ["data.corpus.max_token", ["data.corpus.max_tokens"]],
    ["train.generator.batch_size", ["train.generator.batch"]],
    ["retriver.layers", ["retriever.initialise.layers"]],
    ["eval.k", []],
    ["wanted_words", []],
  ])("key to %s is %s", (wrong, right) => {
    const near = nearestKeys(wrong, keys);
    if (right.length === 0) expect(near).toEqual([]);
    else expect(near).toEqual(expect.arrayContaining(right));
  });

  it("comes first where several keys end alike", () => {
    expect(nearestKeys("train.contrastiv.lr", keys)[0]).toBe("train.contrastive.lr");
    expect(nearestKeys("train.readr.lr", keys)[0]).toBe("train.reader.lr");
  });

  it("finds every key with one letter lost in its last part", () => {
    fc.assert(
      fc.property(fc.constantFrom(...keys.filter((key) => (key.split(".").at(-1)?.length ?? 0) > 3)), fc.nat(), (key, place) => {
        const start = key.lastIndexOf(".") + 1;
        const at = start + (place % (key.length - start));
        const wrong = key.slice(0, at) + key.slice(at + 1);
        fc.pre(!keys.includes(wrong));
        expect(nearestKeys(wrong, keys)).toContain(key);
      }),
    );
  });

  it("is nothing where nothing is near", () => {
    expect(nearestNames("zzzzzz", ["train", "eval"])).toEqual([]);
    expect(didYouMean([], "see there")).toBe("see there");
  });
});
