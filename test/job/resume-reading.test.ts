/**
 * Proves that a run whose generator reads contexts that are mixed by chance (the gold passage kept or dropped, distractors in its place, shuffled, cut to fewer, grown by a curriculum, some other questions asked beside, an unknown
 * answer) with smoothed labels, the loss on names that come again, and batches by tokens, on copied words, on gold and on found passages, equals the uninterrupted one after SIGKILL inside each of the three phases.
 * Needs the compiled program (npm run build). Alone: npx vitest run test/job/resume-reading.test.ts
 */
import { expect, it } from "vitest";
import { expectEqualRuns, goesOnInside, killAndResume, lossLines, wholeRun } from "./killed-run.js";

/** Global steps: refresh 1, copying 2–8, gold 9–17, retrieved 18–32. Contexts grow through the first two. */
const SCHEDULE = [
  "{phase: refresh}",
  "{phase: generator, steps: 7, contexts: copying}",
  "{phase: generator, steps: 9, contexts: gold}",
  "{phase: generator, steps: 15, contexts: retrieved}",
];
const ENDS = [1, 8, 17, 32];

const words = (runs: string): string[] => [
  "experiment=tiny",
  `run.dir=${runs}`,
  "generator.dropout=0.1",
  `train.schedule=[${SCHEDULE.join(", ")}]`,
  "train.generator.label_smoothing=0.1",
  "train.generator.copy_weight=0.3",
  "train.generator.passages=3",
  "train.generator.keep_gold=0.6",
  "train.generator.drop_gold=0.3",
  "train.generator.unknown_answer=nobody",
  "train.generator.shuffle_passages=0.5",
  "train.generator.vary_passages=0.5",
  "train.generator.questions_per_context=3",
  "train.generator.curriculum.share=0.9",
  "train.generator.batch=null",
  "train.generator.batch_tokens=900",
  "train.generator.accumulate=2",
  "train.checkpoint.every=3",
  "train.validate.after_each_phase=false",
  "eval.rows=[closed-book, trained-pair]",
  "eval.limit=4",
  "--quiet",
];

it("equals the uninterrupted one after three kills, one inside each phase", async () => {
  const whole = await wholeRun(words);
  const lines = lossLines(whole).filter(({ phase }) => phase === "generator");
  expect(lines.map(({ step }) => step)).toEqual(Array.from({ length: 31 }, (_, i) => i + 2));
  const values = (name: string, from: number): number[] =>
    lines.filter(({ step }) => Number(step) >= from).map((line) => Number(line[name]));
  expect(Math.max(...values("loss/copy", 9))).toBeGreaterThan(0);
  // Some contexts answer and some don't, in gold and in found passages alike.
  for (const from of [9, 18]) expect(new Set(values("loss/unknown_target", from)).size).toBeGreaterThan(1);
  expect(new Set(values("loss/answer_in_context", 9)).size).toBeGreaterThan(1);
  const { run, killed } = await killAndResume(words, 3, (folder, kill) => goesOnInside(folder, [3, 12, 21][kill]!, ENDS));
  expect(killed).toBe(3);
  expectEqualRuns(run, whole);
}, 300_000);
