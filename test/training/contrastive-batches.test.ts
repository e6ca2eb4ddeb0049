/**
 * Proves that contrastive batches are a pure function of seed, step and sizes: every epoch each example once, no singleton batch, and in no batch a positive or a wording twice, whatever the data; what can't be placed so is left out of
 * the epoch and counted. Data without repeats have the batches that they always had.
 * Run alone: npx vitest run test/training/contrastive-batches.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import type { BatchSource } from "../../src/training/batches.js";
import { contrastiveBatches } from "../../src/training/contrastive-batches.js";
import { hash32 } from "../../src/training/counter-random.js";
import { epochOf, range, sorted } from "./epochs.js";

describe("contrastive batches", () => {
  it("cozyrag 25: never hold a single question, whatever the sizes", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 80 }), fc.integer({ min: 2, max: 16 }), fc.integer(), (size, batch, seed) => {
        const batches = epochOf(contrastiveBatches({ seed, size, batch }), 0);
        expect(sorted(batches.flat())).toEqual(range(size));
        for (const members of batches) {
          expect(members.length).toBeGreaterThanOrEqual(2);
          expect(members.length).toBeLessThanOrEqual(batch + 1);
        }
      }),
    );
  });

  it("cozyrag 24: no two examples of a batch have one positive or one wording, whatever the data, and who has no place is counted", () => {
    const options = {
      size: fc.integer({ min: 2, max: 90 }),
      batch: fc.integer({ min: 2, max: 12 }),
      positives: fc.integer({ min: 1, max: 40 }),
    };
    const more = { wordings: fc.integer({ min: 1, max: 90 }), topics: fc.constantFrom(undefined, 1, 4), seed: fc.integer() };
    fc.assert(
      fc.property(fc.record({ ...options, ...more }), ({ size, batch, positives, wordings, topics, seed }) => {
        // The same question is of two positives in one epoch, of others in the next.
        const positiveOf = (example: number, epoch: number): number => hash32(seed, example, 2 * epoch * (example % 3)) % positives;
        const wordingOf = (example: number): string => String(hash32(seed, example) % wordings);
        const topicOf = topics === undefined ? undefined : (example: number): string => String(example % topics);
        const source = contrastiveBatches({ seed, size, batch, positiveOf, wordingOf, topicOf });
        for (const epoch of [0, 1, 2]) {
          const batches = epochOf(source, epoch);
          const placed = batches.flat();
          expect(new Set(placed).size).toBe(placed.length);
          for (const members of batches) {
            expect(new Set(members.map((example) => positiveOf(example, epoch))).size).toBe(members.length);
            expect(new Set(members.map(wordingOf)).size).toBe(members.length);
            expect(members.length).toBeLessThanOrEqual(batch + 1);
          }
          const alone = batches.filter((members) => members.length === 1);
          // Only where no two examples go together.
          if (alone.length > 0) expect(alone).toHaveLength(size);
          const isAt = (example: number, other: number): boolean =>
            positiveOf(example, epoch) === positiveOf(other, epoch) || wordingOf(example) === wordingOf(other);
          const missing = range(size).filter((example) => !placed.includes(example));
          for (const [i, example] of missing.entries()) {
            for (const other of missing.slice(i + 1)) expect(isAt(example, other)).toBe(true);
            for (const members of batches.filter(({ length }) => length < batch))
              expect(members.some((member) => isAt(example, member))).toBe(true);
          }
          if (epoch === 0)
            expect(source.epoch()).toMatchObject({ batches: batches.length, examples: placed.length, leftOut: missing.length });
        }
      }),
      { numRuns: 300 },
    );
  });

  it("cozyrag 24: repeats that are left at an epoch's end have smaller batches of their own", () => {
    // Ten passages with five questions each.
    const positiveOf = (example: number): number => Math.floor(example / 5);
    const source = contrastiveBatches({ seed: 2, size: 50, batch: 8, positiveOf });
    for (const epoch of [0, 1, 2]) {
      const batches = epochOf(source, epoch);
      expect(sorted(batches.flat())).toEqual(range(50));
      expect(batches.filter(({ length }) => length === 8).length).toBeGreaterThanOrEqual(3);
      for (const batch of batches) expect(new Set(batch.map(positiveOf)).size).toBe(batch.length);
    }
    expect(source.epoch()).toEqual({ examples: 50, batches: epochOf(source, 0).length, leftOut: 0, extra: epochOf(source, 0).length - 7 });
  });

  it("hold no wording twice where a passage's questions share a batch, either", () => {
    const options = {
      size: fc.integer({ min: 2, max: 90 }),
      batch: fc.integer({ min: 2, max: 12 }),
      passages: fc.integer({ min: 1, max: 30 }),
    };
    fc.assert(
      fc.property(
        fc.record(options),
        fc.integer({ min: 1, max: 60 }),
        fc.boolean(),
        fc.integer(),
        ({ size, batch, passages }, words, topics, seed) => {
          const positiveOf = (example: number): number => hash32(seed, example) % passages;
          const wordingOf = (example: number): string => String(hash32(seed, example, 1) % words);
          const topicOf = topics ? (example: number): string => String(positiveOf(example) % 3) : undefined;
          const batches = epochOf(contrastiveBatches({ seed, size, batch, positiveOf, wordingOf, topicOf, together: true }), 0);
          const placed = batches.flat();
          expect(new Set(placed).size).toBe(placed.length);
          expect(placed.length).toBeGreaterThan(0);
          for (const members of batches) expect(new Set(members.map(wordingOf)).size).toBe(members.length);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("plan a hundred thousand questions on three passages in moments, all but a few of them placed", () => {
    const positiveOf = (example: number): number => example % 3;
    const { examples, batches, leftOut } = contrastiveBatches({ seed: 1, size: 100_000, batch: 64, positiveOf }).epoch();
    expect([examples, batches, leftOut]).toEqual([99_999, 33_333, 1]);
  }, 60_000);

  it("hold all questions of a passage, or half a batch of them, every question once an epoch", () => {
    const option = {
      size: fc.integer({ min: 2, max: 150 }),
      batch: fc.integer({ min: 2, max: 24 }),
      passages: fc.integer({ min: 2, max: 40 }),
    };
    fc.assert(
      fc.property(fc.record(option), fc.integer(), ({ size, batch, passages }, seed) => {
        const positiveOf = (example: number): number => example % passages;
        fc.pre(size >= passages);
        const batches = epochOf(contrastiveBatches({ seed, size, batch, positiveOf, together: true }), 0);
        expect(sorted(batches.flat())).toEqual(range(size));
        for (const members of batches) expect(new Set(members.map(positiveOf)).size).toBeGreaterThanOrEqual(2);
        const ofPassage = Math.ceil(size / passages);
        if (2 * ofPassage > batch) return;
        // The last batch may join the one before.
        expect(batches.filter((members) => members.length > batch).length).toBeLessThanOrEqual(1);
        for (const members of batches)
          for (const positive of new Set(members.map(positiveOf)))
            expect(members.filter((member) => positiveOf(member) === positive).length).toBe(
              range(size).filter((example) => positiveOf(example) === positive).length,
            );
      }),
    );
    const positiveOf = (example: number): number => Math.floor(example / 5);
    const source = contrastiveBatches({ seed: 2, size: 100, batch: 20, positiveOf, together: true });
    // Four passages to twenty questions.
    for (const members of epochOf(source, 0)) expect(new Set(members.map(positiveOf)).size).toBe(4);
    expect(epochOf(source, 1)).not.toEqual(epochOf(source, 0));
  });

  it("of passages with all their questions take neighbours from one document where that is asked, in another order each epoch", () => {
    // Four documents of six passages, which have five questions each.
    const positiveOf = (example: number): number => Math.floor(example / 5);
    const topicOf = (example: number): string => String(Math.floor(example / 30));
    const source = contrastiveBatches({ seed: 3, size: 120, batch: 15, positiveOf, topicOf, together: true });
    const epoch = epochOf(source, 0);
    expect(sorted(epoch.flat())).toEqual(range(120));
    for (const members of epoch) {
      expect(new Set(members.map(topicOf)).size).toBe(1);
      expect(new Set(members.map(positiveOf)).size).toBe(3);
      expect(members).toHaveLength(15);
    }
    const order = epoch.map(([first = 0]) => topicOf(first));
    // Seven passages of five questions don't divide into batches of 32: at most the rests of documents are mixed.
    const uneven = { size: 50 * 35, positiveOf, topicOf: (example: number): string => String(Math.floor(example / 35)) };
    const mixed = epochOf(contrastiveBatches({ seed: 4, batch: 32, together: true, ...uneven }), 0);
    expect(sorted(mixed.flat())).toEqual(range(uneven.size));
    const several = mixed.filter((members) => new Set(members.map(uneven.topicOf)).size > 1);
    expect(mixed.length - several.length).toBe(50);
    for (const members of several) expect(new Set(members.map(positiveOf)).size).toBe(new Set(members.map(uneven.topicOf)).size);
    expect(order.filter((topic, i) => topic === order[i - 1]).length).toBeLessThan(4);
    expect(epochOf(source, 1)).not.toEqual(epoch);
  });

  it("hold one topic each as far as topics fill them, every question at most once an epoch", () => {
    const option = {
      size: fc.integer({ min: 2, max: 120 }),
      batch: fc.integer({ min: 2, max: 12 }),
      topics: fc.integer({ min: 1, max: 6 }),
    };
    fc.assert(
      fc.property(fc.record(option), fc.integer(), ({ size, batch, topics }, seed) => {
        const topicOf = (example: number): string => String(example % topics);
        const positiveOf = (example: number): number => (example % topics) * 1000 + Math.floor(example / topics / 2);
        const source = contrastiveBatches({ seed, size, batch, topicOf, positiveOf });
        const batches = epochOf(source, 0);
        // Two have one positive: a rest of one has no place where the only batch has its positive.
        const placed = batches.flat();
        expect(new Set(placed).size).toBe(placed.length);
        expect(placed.length).toBeGreaterThanOrEqual(batches.length === 1 ? size - 1 : size);
        const mixed = batches.filter((members) => new Set(members.map(topicOf)).size > 1);
        // What one topic couldn't fill: fewer than a batch of different positives, each at most twice.
        expect(mixed.flat().length).toBeLessThanOrEqual(2 * batch * topics);
        for (const members of batches.filter((full) => !mixed.includes(full) && full.length === batch && size > 2 * batch * topics)) {
          expect(new Set(members.map(positiveOf)).size).toBeGreaterThanOrEqual(2);
        }
      }),
    );
    const topicOf = (example: number): string => (example < 64 ? "a" : "b");
    const source = contrastiveBatches({ seed: 3, size: 128, batch: 16, topicOf });
    const first = epochOf(source, 0);
    for (const members of first) expect(new Set(members.map(topicOf)).size).toBe(1);
    // Topics alternate by chance, not one after the other.
    expect(new Set(first.slice(0, 6).map((members) => topicOf(members[0] ?? 0))).size).toBe(2);
    expect(epochOf(source, 1)).not.toEqual(first);
  });

  it("teach even when nearly all questions have one passage: one of them an epoch, another each time", () => {
    const positiveOf = (example: number): number => (example === 8 ? 1 : 0);
    const source = contrastiveBatches({ seed: 2, size: 9, batch: 4, positiveOf });
    const taught = new Set<number>();
    for (const epoch of range(60)) {
      const batches = epochOf(source, epoch);
      expect(batches.map((members) => sorted(members.map(positiveOf)))).toEqual([[0, 1]]);
      for (const example of batches.flat()) taught.add(example);
    }
    expect(taught.size).toBe(9);
    expect(source.epoch()).toEqual({ examples: 2, batches: 1, leftOut: 7, extra: 0 });
  });

  it("hold one question each where all have one passage: only mined negatives can teach then", () => {
    const batches = epochOf(contrastiveBatches({ seed: 2, size: 5, batch: 4, positiveOf: () => 7 }), 0);
    expect(batches.map(({ length }) => length)).toEqual([1, 1, 1, 1, 1]);
    expect(sorted(batches.flat())).toEqual(range(5));
  });

  it("are what they always were where nothing repeats, digit for digit, and where repeats find a place", () => {
    const digest = (...sources: BatchSource[]): number =>
      hash32(
        ...sources.flatMap((source) =>
          [0, 1, 2].flatMap((epoch) => epochOf(source, epoch).flatMap((members) => [members.length, ...members])),
        ),
      );
    const topicOf = (example: number): string => String(example % 5);
    const five = (example: number): number => Math.floor(example / 5);
    const wordingOf = (example: number): string => `question ${example}`;
    expect(digest(contrastiveBatches({ seed: 5, size: 101, batch: 20, wordingOf }))).toBe(2561970774);
    expect(digest(contrastiveBatches({ seed: 5, size: 134, batch: 19, topicOf, wordingOf }))).toBe(3456213516);
    expect(digest(contrastiveBatches({ seed: 5, size: 134, batch: 20, positiveOf: five, together: true, wordingOf }))).toBe(2409085685);
    expect(digest(contrastiveBatches({ seed: 5, size: 134, batch: 20, positiveOf: five, topicOf, together: true, wordingOf }))).toBe(
      3305852158,
    );
    expect(digest(contrastiveBatches({ seed: 5, size: 600, batch: 4, positiveOf: five, wordingOf }))).toBe(1121934210);
  });

  it("refuse fewer than two examples and batches of one", () => {
    expect(() => contrastiveBatches({ seed: 1, size: 1, batch: 4 })).toThrow(UserError);
    expect(() => contrastiveBatches({ seed: 1, size: 10, batch: 1 })).toThrow(/at least 2/);
  });
});
