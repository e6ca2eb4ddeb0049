/**
 * Proves that the sentence filter keeps the sentences nearest to the question by the encoder's own cosine, in the text's order, within its numbers, and loses no title and no passage without sentences.
 * Alone: npx vitest run test/generation/sentence-filter.test.ts
 */
import path from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { toFloat32Array } from "../../src/engine/tensor.js";
import { SentenceFilter, type SentenceFilterOptions } from "../../src/generation/sentence-filter.js";
import { Encoder } from "../../src/retrieval/encoder.js";
import { splitSentences } from "../../src/text/sentence-split.js";
import { Tokenizer } from "../../src/text/tokenizer.js";
import { goldens } from "../nn/goldens.js";

setThreads(1);
const encoder = Encoder.load(path.join(goldens, "bert-tiny"));
const tokenizer = Tokenizer.fromFolder(path.join(goldens, "gpt2-tiny"));
const SENTENCES = [
  "Alder is a town on the Mire.",
  "It was founded in 1643 by Dr. Bor Kai, who built the first mill there.",
  "The people are known for kenka, a dish of fish and barley.",
  "The festival of Rai is held every spring!",
  "Is it the capital?",
];
const alder = { title: "Alder", text: SENTENCES.join(" "), id: 7 };
const birch = { title: "Birch", text: "Birch is a mountain.\n\nNobody lives there. It is high.", id: 8 };
const question = "Who built the first mill?";

const filtered = (
  options: SentenceFilterOptions,
  passages: readonly (typeof alder)[] = [alder, birch],
  asked = question,
): (typeof alder)[] => new SentenceFilter(encoder, tokenizer, options).filter([{ question: asked, passages }])[0]!;

/** The cosine of the question with title and sentence, by the encoder alone. */
function similarity(asked: string, title: string, sentence: string): number {
  return scope(() => {
    const [q, s] = [toFloat32Array(encoder.embedQueries([asked])), toFloat32Array(encoder.embedPassages([`${title}. ${sentence}`]))];
    return q.reduce((sum, value, i) => sum + value * (s[i] ?? 0), 0);
  });
}

/** Whether the text is some of the sentences, in their order. */
function isMadeOf(text: string, sentences: readonly string[]): boolean {
  if (text === "") return true;
  return sentences.some((sentence, i) => {
    if (sentence !== "" && text === sentence) return true;
    return sentence !== "" && text.startsWith(`${sentence} `) && isMadeOf(text.slice(sentence.length + 1), sentences.slice(i + 1));
  });
}

describe("the sentence filter", () => {
  it("cozyrag 16: keeps the best sentences in the text's order, and Dr. Kai whole", () => {
    const scores = SENTENCES.map((sentence) => similarity(question, "Alder", sentence));
    for (const count of [1, 2, 3, 4]) {
      const best = [...scores].sort((a, b) => b - a).slice(0, count);
      const expected = SENTENCES.filter((_, i) => best.includes(scores[i]!));
      const [kept] = filtered({ sentences: count }, [alder]);
      expect(kept).toEqual({ ...alder, text: expected.join(" ") });
    }
    // The order by score is another one, so that keeping the text's order means something.
    expect(scores).not.toEqual([...scores].sort((a, b) => b - a));
  });

  it("ranks the sentences of all passages together, and drops a passage that keeps none", () => {
    const all = [alder, birch].flatMap(({ title, text }) =>
      text.split(/(?<=[.!?])(?<!Dr\.)\s+/).map((sentence) => ({ title, sentence, score: similarity(question, title, sentence) })),
    );
    expect(all).toHaveLength(8);
    for (let count = 1; count <= 8; count++) {
      const best = [...all].sort((a, b) => b.score - a.score).slice(0, count);
      const kept = filtered({ sentences: count });
      expect(kept.map(({ title }) => title)).toEqual(["Alder", "Birch"].filter((title) => best.some((own) => own.title === title)));
      for (const { title, sentence } of all) {
        const text = kept.find((own) => own.title === title)?.text ?? "";
        expect(text.includes(sentence)).toBe(best.some((own) => own.sentence === sentence));
      }
    }
  });

  it("keeps what stood between neighbours, and everything when everything fits", () => {
    expect(filtered({ sentences: 8 })).toEqual([alder, birch]);
    expect(filtered({ tokens: 4000 })).toEqual([alder, birch]);
    expect(filtered({})).toEqual([alder, birch]);
  });

  it("holds a number of tokens, passes over what doesn't fit, and never empties a context", () => {
    const lengthOf = (passages: readonly { text: string }[]): number =>
      passages.reduce((sum, { text }) => sum + tokenizer.encode(text, { specialTokens: false }).length, 0);
    const best = filtered({ sentences: 1 });
    expect(filtered({ tokens: 1 })).toEqual(best);
    const all = lengthOf([alder, birch]);
    let before = 0;
    for (let tokens = lengthOf(best); tokens <= all; tokens += 5) {
      const kept = filtered({ tokens });
      // Joined sentences may need a token or two fewer or more for the spaces between them.
      expect(lengthOf(kept)).toBeLessThanOrEqual(tokens + 8);
      expect(kept.length).toBeGreaterThan(0);
      before = Math.max(before, lengthOf(kept));
    }
    expect(before).toBeGreaterThan(lengthOf(best));
  });

  it("shows a sentence once that two overlapping passages hold", () => {
    const next = { ...alder, text: [SENTENCES[1], SENTENCES[2], "Its mill burnt down in 1702."].join(" ") };
    const passages = filtered({ sentences: 3 }, [alder, next]);
    const shown = passages.flatMap(({ text }) => text.split(/(?<=[.!?])(?<!Dr\.)\s+/));
    expect(shown).toHaveLength(3);
    expect(new Set(shown).size).toBe(3);
    // The very same words under another title are another sentence.
    const [first] = SENTENCES;
    const twins = [alder, { ...alder, title: "Birch" }].map((passage) => ({ ...passage, text: first! }));
    expect(filtered({ sentences: 2 }, twins).map(({ title }) => title)).toEqual(["Alder", "Birch"]);
  });

  it("cozyrag 16: leaves a passage without a sentence as it is, and no passages no passages", () => {
    const empty = { title: "Nothing", text: "", id: 9 };
    expect(filtered({ sentences: 1 }, [empty])).toEqual([empty]);
    expect(filtered({ sentences: 1 }, [empty, alder])[0]).toEqual(empty);
    expect(filtered({ sentences: 1 }, [])).toEqual([]);
    expect(new SentenceFilter(encoder, tokenizer, { sentences: 1 }).filter([])).toEqual([]);
  });

  it("gives each question its own sentences, together as alone", () => {
    const items = [question, "What do the people eat?", "When is the festival?"].map((asked) => ({
      question: asked,
      passages: [alder, birch],
    }));
    const together = new SentenceFilter(encoder, tokenizer, { sentences: 2 }).filter(items);
    expect(together).toEqual(items.map((item) => filtered({ sentences: 2 }, item.passages, item.question)));
    expect(new Set(together.map((own) => JSON.stringify(own))).size).toBeGreaterThan(1);
  });

  it("never changes a sentence, whatever the texts", () => {
    const word = fc.constantFrom("Kai ", "mill. ", "Dr. ", "fish! ", "\n", "é 🚀? ");
    const passage = fc.record({
      title: fc.constantFrom("", "Alder"),
      text: fc.array(word, { maxLength: 12 }).map((words) => words.join("")),
      id: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(passage, { maxLength: 3 }), fc.integer({ min: 1, max: 4 }), (passages, sentences) => {
        const kept = filtered({ sentences }, passages);
        for (const { id, text } of kept) {
          const plain = (words: string): string => words.replace(/\s+/g, " ").trim();
          const sources = passages
            .filter((own) => own.id === id)
            .map((own) => splitSentences(own.text).map(({ start, end }) => own.text.slice(start, end)));
          expect(sources.some((all) => isMadeOf(plain(text), all.map(plain)))).toBe(true);
        }
        if (passages.some(({ text }) => text.trim() !== "")) expect(kept.length).toBeGreaterThan(0);
      }),
      { numRuns: 40 },
    );
  });

  it("leaves no tensor behind", () => {
    const before = liveTensors();
    filtered({ sentences: 2, tokens: 100 });
    expect(liveTensors()).toEqual(before);
  });
});
