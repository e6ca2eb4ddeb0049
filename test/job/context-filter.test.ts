/**
 * Proves that a row's questions are filtered a few at a time: the same sentences as all at once, with progress that counts them, and with turns of the event loop in which a signal is heard.
 * Alone: npx vitest run test/job/context-filter.test.ts
 */
import path from "node:path";
import { describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { SentenceFilter } from "../../src/generation/sentence-filter.js";
import { shownHits } from "../../src/job/models/context-filter.js";
import { Encoder } from "../../src/retrieval/encoder.js";
import type { Hit } from "../../src/retrieval/retriever.js";
import { Tokenizer } from "../../src/text/tokenizer.js";
import { goldens } from "../nn/goldens.js";

setThreads(1);
const encoder = Encoder.load(path.join(goldens, "bert-tiny"));
const tokenizer = Tokenizer.fromFolder(path.join(goldens, "gpt2-tiny"));
const questions = Array.from({ length: 150 }, (_, i) => ({ question: `Who built mill ${i}?` }));
const hits = questions.map((_, i) =>
  [0, 1, 2].map((rank): Hit => {
    const text = `Town ${i} lies on river ${rank}. Mill ${i} was built by Kai ${rank}. It sells rope and cheese.`;
    return {
      row: 3 * i + rank,
      rank: rank + 1,
      score: 1 - rank / 10,
      passage: { id: `${i}-${rank}`, title: `Town ${i}`, text, document: "" },
    };
  }),
);

/** A filter that says how many questions it was asked at once. */
function spied(): { filter: SentenceFilter; asked: number[] } {
  const asked: number[] = [];
  const filter = new SentenceFilter(encoder, tokenizer, { sentences: 2 });
  const whole = filter.filter.bind(filter);
  filter.filter = (items) => {
    asked.push(items.length);
    return whole(items);
  };
  return { filter, asked };
}

describe("filtered hits", () => {
  it("are those of one call, made a few questions at a time, with progress up to the last", async () => {
    const { filter, asked } = spied();
    const seen: [number, number][] = [];
    const shown = await shownHits(filter, questions, hits, 2, (done, total) => seen.push([done, total]));
    expect(Math.max(...asked)).toBeLessThanOrEqual(32);
    expect(asked.reduce((sum, count) => sum + count, 0)).toBe(150);
    expect(seen.map(([, total]) => total)).toEqual(asked.map(() => 150));
    expect(seen.map(([done]) => done)).toEqual(asked.map((_, i) => asked.slice(0, i + 1).reduce((sum, count) => sum + count, 0)));
    const whole = new SentenceFilter(encoder, tokenizer, { sentences: 2 }).filter(
      questions.map(({ question }, i) => ({ question, passages: hits[i]!.slice(0, 2).map(({ passage }) => passage) })),
    );
    expect(shown.map((own) => own.map(({ passage }) => passage))).toEqual(whole);
    expect(shown.flat().every(({ row, passage }) => passage.id === `${Math.floor(row / 3)}-${row % 3}`)).toBe(true);
  });

  it("let a signal through before they are done", async () => {
    const { filter, asked } = spied();
    let heardAfter = Infinity;
    const heard = (): void => void (heardAfter = asked.length);
    process.once("SIGUSR2", heard);
    try {
      process.kill(process.pid, "SIGUSR2");
      await shownHits(filter, questions, hits, 2);
      expect(heardAfter).toBeLessThan(asked.length);
    } finally {
      process.off("SIGUSR2", heard);
    }
  });

  it("are the first k as they stand where nothing is filtered", async () => {
    expect(await shownHits(undefined, questions, hits, 2)).toEqual(hits.map((own) => own.slice(0, 2)));
  });
});
