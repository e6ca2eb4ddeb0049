/**
 * Proves that a run whose contrastive batches are made by document, by passage and by both, with cached gradients, nested dimensions and negatives that another encoder let through, equals the uninterrupted one after SIGKILL inside
 * each of the three phases. Needs the compiled program (npm run build). Alone: npx vitest run test/job/resume-batches.test.ts
 */
import { afterAll, expect, it } from "vitest";
import { copyOf } from "../nn/model-folder.js";
import { expectEqualRuns, goesOnInside, killAndResume, lossLines, wholeRun } from "./killed-run.js";

/** Global steps: 1–10, 11–20, 21–44. A document of these questions has three or four passages: batches of three can be filled by one. With eight an epoch has nine or ten batches: later phases begin in later epochs. */
const SCHEDULE = [
  "{phase: contrastive, steps: 10, with: {batches: document, batch: 3}}",
  "{phase: contrastive, steps: 10, with: {batches: passage}}",
  "{phase: contrastive, steps: 24, with: {batches: document-passages}}",
];
const ENDS = [10, 20, 44];
const teacher = copyOf("bert-tiny");
afterAll(teacher.free);

const words = (runs: string): string[] => [
  "experiment=tiny",
  `run.dir=${runs}`,
  "retriever.dropout=0.1",
  `train.schedule=[${SCHEDULE.join(", ")}]`,
  "train.contrastive.symmetric=true",
  "train.contrastive.matryoshka=[8,16]",
  "train.contrastive.accumulate=2",
  "train.contrastive.hard_negatives=2",
  "train.contrastive.mining.source=bm25",
  "train.contrastive.mining.absolute_margin=0",
  "train.contrastive.mining.teacher.kind=encoder",
  `train.contrastive.mining.teacher.path=${teacher.folder}`,
  "train.checkpoint.every=4",
  "train.validate.after_each_phase=false",
  "eval.rows=[closed-book, trained-pair]",
  "eval.limit=4",
  "--quiet",
];

it("equals the uninterrupted one after three kills, one inside each phase", async () => {
  const whole = await wholeRun(words);
  const lines = lossLines(whole).filter(({ phase }) => phase === "contrastive");
  expect(lines.map(({ step }) => step)).toEqual(Array.from({ length: 44 }, (_, i) => i + 1));
  const { run, killed } = await killAndResume(words, 3, (folder, kill) => goesOnInside(folder, [4, 12, 24][kill]!, ENDS));
  expect(killed).toBe(3);
  expectEqualRuns(run, whole);
}, 300_000);
