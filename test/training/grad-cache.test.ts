/**
 * Proves that GradCache's gradient is the whole batch's at a size that is used: 1,024 questions, with dropout, masks and hard negatives, in 32 parts. Small batches in any number of parts are contrastive-phase.test.ts's.
 * Alone: npx vitest run test/training/grad-cache.test.ts
 */
import { beforeAll, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { contrastivePhase, type ContrastivePhaseOptions } from "../../src/training/phases/contrastive.js";
import { relativeError } from "./central-differences.js";
import { run } from "./phase-step.js";
import { tinyEncoder } from "./tiny-world.js";

beforeAll(() => setThreads(1));

const PLACES = ["north", "south", "east", "west"];
const HUTS = 1100;

it("cozyrag 25: 1,024 questions give one gradient, whole and in 32 parts", () => {
  const encoder = tinyEncoder(0.1, "f64");
  const options: ContrastivePhaseOptions = {
    encoder,
    questions: Array.from({ length: HUTS }, (_, i) => ({
      question: `Where is hut ${i}?`,
      answers: [`${PLACES[i % 4]} of lake ${i % 600}`],
      positives: [i],
    })),
    textOf: (row) => `Hut ${row} is ${PLACES[row % 4]} of lake ${row % 600}.`,
    seed: 1,
    batch: 1024,
    temperature: 0.2,
    symmetric: true,
    hardNegatives: 1,
    negativesOf: (question) => [(question + 7) % HUTS],
  };
  const whole = contrastivePhase(options);
  const batch = whole.batch(0);
  expect(batch.queries).toHaveLength(1024);
  expect(batch.masked_QP.some((masked) => masked === 1)).toBe(true);
  const { gradient, loss } = run(whole);
  const cut = run(contrastivePhase({ ...options, accumulate: 32 }));
  expect(relativeError(cut.gradient, gradient)).toBeLessThan(1e-10);
  expect(cut.loss).toBeCloseTo(loss, 10);
  encoder.dispose();
});
