/**
 * Proves that contrastive batches are a pure function of seed, step and sizes: every epoch each example once, no singleton batch.
 * Run alone: npx vitest run test/training/contrastive-batches.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import { contrastiveBatches } from "../../src/training/contrastive-batches.js";
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

  it("cozyrag 24: two questions with one gold passage share a batch only when nothing else is left", () => {
    // Ten passages with five questions each.
    const positiveOf = (example: number): number => Math.floor(example / 5);
    const source = contrastiveBatches({ seed: 2, size: 50, batch: 8, positiveOf });
    for (const epoch of [0, 1, 2]) {
      const batches = epochOf(source, epoch);
      expect(sorted(batches.flat())).toEqual(range(50));
      const clean = batches.filter((batch) => new Set(batch.map(positiveOf)).size === batch.length);
      expect(clean.length).toBeGreaterThanOrEqual(5);
      for (const batch of batches) expect(new Set(batch.map(positiveOf)).size).toBeGreaterThanOrEqual(2);
    }
  });

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

  it("hold one topic each as far as topics fill them, every question once an epoch", () => {
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
        expect(sorted(batches.flat())).toEqual(range(size));
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

  it("teach even when nearly all questions have one passage", () => {
    const source = contrastiveBatches({ seed: 2, size: 9, batch: 4, positiveOf: (example) => (example === 8 ? 1 : 0) });
    for (const batch of epochOf(source, 0)) expect(new Set(batch.map((example) => (example === 8 ? 1 : 0))).size).toBe(2);
  });

  it("refuse fewer than two examples and batches of one", () => {
    expect(() => contrastiveBatches({ seed: 1, size: 1, batch: 4 })).toThrow(UserError);
    expect(() => contrastiveBatches({ seed: 1, size: 10, batch: 1 })).toThrow(/at least 2/);
  });
});
