/**
 * Proves that a run in bfloat16 whose phases have an optimiser's settings of their own, positives by what holds the answer, and a reader that teaches the questions' side alone by mean log-likelihoods at a temperature, equals the
 * uninterrupted one after SIGKILL inside each of the three phases. Needs the compiled program (npm run build). Alone: npx vitest run test/job/resume-settings.test.ts
 */
import { expect, it } from "vitest";
import { expectEqualRuns, goesOnInside, killAndResume, lossLines, wholeRun } from "./killed-run.js";

/** Global steps: refresh 1, contrastive 2–11, the reader's 12–21, joint 22–33. */
const SCHEDULE = [
  "{phase: refresh}",
  "{phase: contrastive, steps: 10, with: {positives: answer, betas: [0.8, 0.95], eps: 1e-6, weight_decay: 0.1}}",
  "{phase: reader-distillation, steps: 10, with: {betas: [0.7, 0.9], rename: false}}",
  "{phase: joint, steps: 12, with: {weight_decay: 0.2, generator: {betas: [0.5, 0.9]}}}",
];
const ENDS = [1, 11, 21, 33];

const words = (runs: string): string[] => [
  "experiment=tiny",
  `run.dir=${runs}`,
  "precision=bf16",
  "generator.dropout=0.1",
  "retriever.dropout=0.1",
  `train.schedule=[${SCHEDULE.join(", ")}]`,
  "train.contrastive.hard_negatives=1",
  "train.contrastive.mining.source=bm25",
  "train.reader.batch=4",
  "train.reader.passages=3",
  "train.reader.lr=1e-3",
  "train.reader.train_passages=false",
  "train.reader.normalise_length=true",
  "train.reader.reader_temperature=0.5",
  "train.checkpoint.every=4",
  "train.validate.after_each_phase=false",
  "eval.rows=[closed-book, trained-pair]",
  "eval.limit=4",
  "--quiet",
];

it("equals the uninterrupted one after three kills, one inside each phase", async () => {
  const whole = await wholeRun(words);
  const lines = lossLines(whole).filter(({ phase }) => phase !== "closed-book");
  expect(lines.map(({ step }) => step)).toEqual(Array.from({ length: 32 }, (_, i) => i + 2));
  const { run, killed } = await killAndResume(words, 3, (folder, kill) => goesOnInside(folder, [4, 12, 24][kill]!, ENDS));
  expect(killed).toBe(3);
  expectEqualRuns(run, whole);
}, 300_000);
