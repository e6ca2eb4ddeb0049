/** A member of a group that answers questions with the others; the first leads. What shared-answers.test.ts runs in each process, and alone in its own. */
import path from "node:path";
import { LedGroup } from "../../src/distributed/led-group.js";
import type { ProcessGroup } from "../../src/distributed/process-group.js";
import { setThreads } from "../../src/engine/info.js";
import type { Decoding } from "../../src/generation/decoding.js";
import { Generator } from "../../src/generation/generator.js";
import { shareAnswers } from "../../src/generation/shared-answers.js";
import { DEFAULT_PROMPT_FORMAT } from "../../src/generation/prompt.js";
import { goldens } from "../nn/goldens.js";
import { PASSAGES, QUESTIONS } from "../training/tiny-world.js";

export interface SharedQuestions {
  readonly decoding: Decoding;
  readonly batch: number;
}

export interface SharedAnswers {
  /** The leader's alone. */
  readonly answers: readonly (readonly string[])[] | undefined;
  /** Those of a second call, outside of the leader's turn. */
  readonly alone: readonly (readonly string[])[] | undefined;
  /** How many prompts this member decoded for the first call. */
  readonly decoded: number;
  /** What the leader was told of it. */
  readonly progress: readonly (readonly [number, number])[];
}

/** Seven questions, of several lengths. */
const ITEMS = Array.from({ length: 7 }, (_, i) => {
  const { question, goldRows } = QUESTIONS[i % QUESTIONS.length]!;
  return { question: `${question} ${"Really? ".repeat(i % 3)}`, passages: i === 4 ? [] : goldRows.map((row) => PASSAGES[row]!) };
});

export default async function program(group: ProcessGroup, { decoding, batch }: SharedQuestions): Promise<SharedAnswers> {
  setThreads(1);
  const format = { open: DEFAULT_PROMPT_FORMAT, closed: { ...DEFAULT_PROMPT_FORMAT, template: "Q: {question}\nA:" } };
  const own = Generator.load(path.join(goldens, "gpt2-tiny"), format);
  let decoded = 0;
  const decodeHere = own.decodeHere.bind(own);
  own.decodeHere = async (order, given) => {
    const ids = await decodeHere(order, given);
    decoded += Object.keys(ids).length;
    return ids;
  };
  const progress: [number, number][] = [];
  const options = { maxNewTokens: 6, decoding, batch, progress: (done: number, total: number) => void progress.push([done, total]) };
  if (group.size === 1) {
    const answers = await own.answers(ITEMS, options);
    return { answers, alone: undefined, decoded, progress };
  }
  const led = new LedGroup(group);
  const shared = shareAnswers(led, "answers", own);
  if (group.rank > 0) {
    await led.follow();
    return { answers: undefined, alone: undefined, decoded, progress };
  }
  led.begin();
  const answers = await shared.answers(ITEMS, options);
  led.end(null);
  const forAll = decoded;
  return { answers, decoded: forAll, alone: await shared.answers(ITEMS, { maxNewTokens: 6, decoding, batch }), progress };
}
