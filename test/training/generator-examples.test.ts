/**
 * Proves what a generator is shown: contexts that grow sentence by sentence and keep the answer, questions that their context answers, and all of it a
 * pure function of seed, step and example. Run alone: npx vitest run test/training/generator-examples.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import type { TrainingPrompt } from "../../src/generation/prompt.js";
import { splitSentences } from "../../src/text/sentence-split.js";
import { answerPositions, cutIntoParts } from "../../src/training/answer-positions.js";
import { growthAt, holds, sentencesShown, shownText, type Curriculum } from "../../src/training/curriculum.js";
import type { ContextFilter } from "../../src/training/generator-examples.js";
import { PASSAGES, QUESTIONS, tinyExamples } from "./tiny-world.js";

const curriculum: Curriculum = { share: 0.4, start: 1, shuffle: true };
const sentencesOf = (text: string): string[] => splitSentences(text).map(({ start, end }) => text.slice(start, end));

describe("the curriculum", () => {
  it("grows in a line over its share of the steps, then stays", () => {
    expect([0, 20, 40, 41, 99].map((step) => growthAt(curriculum, step, 100))).toEqual([0, 0.5, 1, 1, 1]);
    expect(growthAt({ ...curriculum, share: 0 }, 0, 100)).toBe(1);
  });

  it("shows one sentence at the start, all at the end, never fewer than asked for", () => {
    expect([0, 0.2, 0.21, 0.6, 1].map((growth) => sentencesShown(curriculum, 5, growth))).toEqual([1, 1, 2, 3, 5]);
    expect(sentencesShown({ ...curriculum, start: 3 }, 5, 0)).toBe(3);
    expect(sentencesShown({ ...curriculum, start: 3 }, 2, 0)).toBe(2);
  });

  it("always shows the sentence with the answer, and only sentences of the passage", () => {
    const { text } = PASSAGES[0]!;
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer(),
        fc.constantFrom("Ida Renhan", "1733", "Mire"),
        (growth, key, answer) => {
          const shown = shownText(curriculum, text, { answer }, growth, [key]);
          expect(holds(shown, answer)).toBe(true);
          const sentences = sentencesOf(shown);
          expect(sentences).toHaveLength(sentencesShown(curriculum, 3, growth));
          for (const sentence of sentences) expect(sentencesOf(text)).toContain(sentence);
        },
      ),
    );
  });

  it("keeps the text's order unless shuffled, and the whole text if no sentence holds the answer", () => {
    const { text } = PASSAGES[1]!;
    const kept = { ...curriculum, shuffle: false };
    expect(shownText(kept, text, { answer: "Hargik" }, 1, [1])).toBe(text);
    const two = sentencesOf(shownText(kept, text, { answer: "Hargik" }, 0.5, [1]));
    expect(two).toEqual(sentencesOf(text).filter((sentence) => two.includes(sentence)));
    expect(shownText(kept, text, { answer: "nowhere" }, 0, [1])).toBe(text);
    expect(sentencesOf(shownText(curriculum, text, { answer: "nowhere" }, 0, [1])).toSorted()).toEqual(sentencesOf(text).toSorted());
    expect(shownText(curriculum, "", { answer: "x" }, 0, [1])).toBe("");
  });

  it("an answer is found by whole tokens", () => {
    expect(holds("The party began.", "art")).toBe(false);
    expect(holds("Modern Art, she said.", "art")).toBe(true);
  });
});

describe("examples", () => {
  it("ask the lead first, then others that the same passage answers, as many as wanted", () => {
    const examples = tinyExamples({ questionsPerContext: 3 });
    expect(examples.size).toBe(8);
    const example = examples.at(2, 0);
    expect(example.passages.map((passage) => passage.title)).toEqual(["Birch"]);
    expect(example.questions.map((question) => question.index)).toEqual([2, 3]);
    expect(tinyExamples({ questionsPerContext: 1 }).at(2, 0).questions).toHaveLength(1);
  });

  it("that go on from earlier turns bring them along, and share their context with no other question", () => {
    const history = [{ question: "Where is Birch?", answer: "in the north" }];
    const questions = QUESTIONS.map((question, i) => (i === 3 ? { ...question, history } : question));
    const examples = tinyExamples({ questions, questionsPerContext: 3 });
    const followUp = examples.at(3, 0);
    expect([followUp.questions.map(({ index }) => index), followUp.history]).toEqual([[3], history]);
    const other = examples.at(2, 0);
    expect([other.questions.map(({ index }) => index), other.history]).toEqual([[2], undefined]);
  });

  it("show what the filter leaves, chosen by the lead's question, and ask what that still answers", () => {
    const seen: string[] = [];
    const filter: ContextFilter = (passages, question) => {
      seen.push(question);
      return passages.map((passage) => ({ ...passage, text: sentencesOf(passage.text)[0] ?? "" }));
    };
    const examples = tinyExamples({ questionsPerContext: 3, filter });
    const example = examples.at(2, 0);
    expect(seen).toEqual([example.questions[0]!.question]);
    const whole = PASSAGES.find(({ title }) => title === "Birch")!.text;
    expect(example.passages.map(({ text }) => text)).toEqual([sentencesOf(whole)[0]]);
    for (const { answer } of example.questions.slice(1)) expect(example.passages[0]!.text).toContain(answer);
  });

  it("ask about the lead's own passage alone where that is wanted, whatever else the context holds", () => {
    const contexts = (lead: number): number[] => [...QUESTIONS[lead]!.goldRows, 0];
    const both = { questionsPerContext: 9, contexts };
    expect(
      new Set(
        tinyExamples(both)
          .at(2, 0)
          .questions.map(({ index }) => index),
      ),
    ).toEqual(new Set([2, 3, 0, 1]));
    const own = tinyExamples({ ...both, otherQuestions: "passage" }).at(2, 0);
    expect(own.passages.map(({ title }) => title)).toEqual(["Birch", "Alder"]);
    expect(own.questions.map(({ index }) => index)).toEqual([2, 3]);
    // A context that lost the gold passage has no other question: nothing in it is known to answer one.
    const lost = tinyExamples({ ...both, otherQuestions: "passage", contexts: () => [0, 3] }).at(2, 0);
    expect(lost.questions.map(({ index }) => index)).toEqual([2]);
  });

  it("are cut to some of their first passages in the share that is wanted, never to none", () => {
    const contexts = (): number[] => [3, 2, 1, 0];
    const titles = (varyPassages: number, step: number): string[] =>
      tinyExamples({ contexts, varyPassages })
        .at(2, step)
        .passages.map(({ title }) => title);
    const lengths = (share: number): number[] => Array.from({ length: 400 }, (_, step) => titles(share, step).length);
    expect(new Set(lengths(0))).toEqual(new Set([4]));
    const cut = lengths(0.25).filter((length) => length < 4).length / 400;
    expect(cut).toBeGreaterThan(0.15);
    expect(cut).toBeLessThan(0.35);
    // Question 2 is about Birch, row 1, which stands third here: fewer than three would lose it.
    expect(new Set(lengths(1))).toEqual(new Set([3]));
    const first = Array.from(
      { length: 99 },
      (_, step) => tinyExamples({ contexts: () => [1, 0, 2], varyPassages: 1 }).at(2, step).passages.length,
    );
    expect(new Set(first)).toEqual(new Set([1, 2]));
    const kept = tinyExamples({ contexts: () => [3, 1, 0], varyPassages: 1, keepGold: 1 });
    for (let step = 0; step < 50; step++) expect(kept.at(4, step).passages.map(({ title }) => title)).toContain("Cedar");
    expect(["Dogwood", "Cedar", "Birch", "Alder"].slice(0, titles(1, 7).length)).toEqual(titles(1, 7));
  });

  it("leave out what the curriculum doesn't show", () => {
    const examples = tinyExamples({ questionsPerContext: 5, curriculum });
    for (let step = 0; step < 100; step += 7) {
      for (let lead = 0; lead < 8; lead += 1) {
        const { passages, questions } = examples.at(lead, step);
        expect(questions[0]!.index).toBe(lead);
        for (const { answer } of questions) expect(holds(passages[0]!.text, answer)).toBe(true);
      }
    }
    expect(examples.at(0, 0).questions).toHaveLength(1);
    expect(examples.at(0, 99).questions).toHaveLength(2);
    expect([examples.shareShown(4, 0), examples.shareShown(4, 99)]).toEqual([0.25, 1]);
  });

  it("are a pure function of seed, step and lead", () => {
    const [a, b, other] = [tinyExamples({ curriculum }), tinyExamples({ curriculum }), tinyExamples({ curriculum, seed: 2 })];
    const places = [55, 10, 30].flatMap((step) => [0, 4, 6].map((lead) => [lead, step] as const));
    const all = (examples: typeof a): unknown[] => places.map(([lead, step]) => examples.at(lead, step));
    const backwards = places.toReversed().map(([lead, step]) => b.at(lead, step));
    expect(backwards.toReversed()).toEqual(all(a));
    expect(all(other)).not.toEqual(all(a));
  });

  it("cozyrag 24: retrieved contexts keep their rank order, distractors included, and ask what any of them answers", () => {
    const examples = tinyExamples({ contexts: () => [3, 0], questionsPerContext: 9 });
    const example = examples.at(0, 5);
    expect(example.passages.map((passage) => passage.row)).toEqual([3, 0]);
    expect(example.passages[1]!.text).toBe(PASSAGES[0]!.text);
    expect(example.questions.map((question) => question.index).toSorted()).toEqual([0, 1, 6, 7]);
  });

  it("a missed gold passage takes the last place in the asked share of contexts", () => {
    const rows = (keepGold: number): string[] =>
      Array.from({ length: 200 }, (_, step) =>
        tinyExamples({ contexts: () => [2, 3], keepGold })
          .at(0, step)
          .passages.map((passage) => passage.row)
          .join(),
      );
    expect(new Set(rows(0))).toEqual(new Set(["2,3"]));
    expect(new Set(rows(1))).toEqual(new Set(["2,0"]));
    const half = rows(0.5).filter((row) => row === "2,0").length;
    expect(half).toBeGreaterThan(70);
    expect(half).toBeLessThan(130);
    expect(
      tinyExamples({ contexts: () => [2, 3], keepGold: 1 })
        .at(4, 0)
        .passages.map((passage) => passage.row),
    ).toEqual([2, 3]);
  });

  it("the asked share of contexts is shuffled, the same at every call", () => {
    const orders = (shufflePassages: number): string[] =>
      Array.from({ length: 200 }, (_, step) =>
        tinyExamples({ contexts: () => [3, 0, 1], shufflePassages })
          .at(0, step)
          .passages.map((passage) => passage.row)
          .join(),
      );
    expect(new Set(orders(0))).toEqual(new Set(["3,0,1"]));
    expect(new Set(orders(1)).size).toBe(6);
    const kept = orders(0.5).filter((order) => order === "3,0,1").length;
    expect(kept).toBeGreaterThan(85);
    expect(kept).toBeLessThan(150);
    expect(orders(0.5)).toEqual(orders(0.5));
  });

  it("a transform sees whole passages and all candidate questions, and what it changes is shown", () => {
    const examples = tinyExamples({
      curriculum,
      questionsPerContext: 2,
      transform: (context, step) => {
        expect(context.passages[0]!.text).toBe(PASSAGES[0]!.text);
        const rename = (text: string): string => text.replaceAll("Ida Renhan", `Name ${step}`);
        return {
          passages: context.passages.map((passage) => ({ ...passage, text: rename(passage.text) })),
          questions: context.questions.map((question) => ({ ...question, answer: rename(question.answer) })),
        };
      },
    });
    const { passages, questions } = examples.at(0, 7);
    expect(questions[0]!.answer).toBe("Name 7");
    expect(holds(passages[0]!.text, "Name 7")).toBe(true);
  });

  it("refuse a data set without questions, and a question without any context", () => {
    expect(() => tinyExamples({ questions: [] })).toThrow(UserError);
    expect(() => tinyExamples({ questions: [{ ...QUESTIONS[0]!, goldRows: [] }], contexts: () => [] })).toThrow(
      /question 1 has no context.*mayor/,
    );
  });
});

describe("answer positions", () => {
  const prompt = (ids: number[], answers: [number, number][]): TrainingPrompt => ({
    ids: Int32Array.from(ids),
    answers: answers.map(([start, end]) => ({ start, end })),
    context: { start: 0, end: 0 },
    passagesShown: 0,
    tokensCut: 0,
    turnsShown: 0,
  });

  it("cozyrag 18: logits at position t − 1 predict token t, for the answers' tokens and nothing else", () => {
    const found = answerPositions([prompt([5, 6, 7, 8, 0], [[3, 5]]), prompt([4, 9, 0], [[1, 3]])]);
    expect([found.prompts, found.width]).toEqual([2, 5]);
    expect([...found.ids_BT]).toEqual([5, 6, 7, 8, 0, 4, 9, 0, 0, 0]);
    expect([...found.rows_N]).toEqual([2, 3, 5, 6]);
    expect([...found.targets_N]).toEqual([8, 0, 9, 0]);
    expect(found.lengths).toEqual([2, 2]);
    expect(found.copyRows_M).toHaveLength(0);
  });

  it("copy positions are later mentions outside the answers, where a word goes on", () => {
    // 10 11 is a word of two tokens; 11 goes on with it.
    const found = answerPositions([prompt([10, 11, 3, 10, 11, 3, 10, 11, 0], [[6, 9]])], (token) => token === 11);
    expect([...found.copyRows_M]).toEqual([3]);
    expect([...found.copyTargets_M]).toEqual([11]);
  });

  it("parts are nearly equal, in order, and never empty", () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1, maxLength: 30 }), fc.integer({ min: 1, max: 40 }), (items, parts) => {
        const cut = cutIntoParts(items, parts);
        expect(cut.flat()).toEqual(items);
        expect(cut).toHaveLength(Math.min(parts, items.length));
        const sizes = cut.map((part) => part.length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      }),
    );
  });
});
