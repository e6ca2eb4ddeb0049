/**
 * Proves that the steps that a plan measures are training's own: their batches hold the tokens that training's batches hold at the same steps, under a budget of tokens and with contexts that grow, and measuring leaves the weights as they are.
 * Alone: npx vitest run test/job/plan/step-times.test.ts
 */
import { rmSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load-config.js";
import { withPlannedRun } from "../../../src/job/plan/open-plan.js";
import { planEntries } from "../../../src/job/plan/plan-entries.js";
import { StepTimes } from "../../../src/job/plan/step-times.js";
import { hashBytes } from "../../../src/storage/content-hash.js";
import { newProgress } from "../../../src/training/run-state.js";
import { positionAt } from "../../../src/training/schedule.js";
import { makeFiles, tinyWords } from "../trained-run.js";

const folder = makeFiles();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SCHEDULE = "[{phase: generator, steps: 40, contexts: gold}, {phase: contrastive, steps: 10}]";
const WORDS = [
  "train.generator.batch=null",
  "train.generator.batch_tokens=250",
  "train.generator.curriculum.share=0.5",
  "train.generator.curriculum.start=1",
];

describe("measured steps", () => {
  it("have training's batches, and move nothing", async () => {
    const { config } = loadConfig({ overrides: [...tinyWords(folder), `train.schedule=${SCHEDULE}`, ...WORDS] });
    await withPlannedRun(
      config,
      () => undefined,
      1,
      async (run) => {
        const times = new StepTimes(run);
        const [plan] = await planEntries(run, times, () => Promise.resolve(null));
        const kind = plan?.kind;
        if (kind === undefined) throw new Error("the first entry has no kind");
        expect(kind.from).toBe(20);
        const tokens = (phase: typeof kind.trained.phase, step: number): number => phase.tokens(phase.batch(step));
        const position = positionAt(run.schedule, 0);
        if (position === undefined) throw new Error("an empty schedule");
        const training = run.phases.at(position, { ...run.state, progress: newProgress() }).phase;
        const steps = [20, 21, 22, 25, 39];
        expect(steps.map((step) => tokens(kind.trained.phase, step))).toEqual(steps.map((step) => tokens(training, step)));
        const weights = (): string => hashBytes(Buffer.concat([...training.parameters.values()].map((weight) => weight.toBytes())));
        const before = weights();
        const { times: measured, gradientBytes } = await times.measure(kind, 1, { seconds: 0, least: 3, most: 3 });
        expect(measured).toHaveLength(3);
        expect(gradientBytes).toBe([...training.parameters.values()].reduce((sum, { numel }) => sum + 4 * numel, 0));
        expect(weights()).toBe(before);
      },
    );
  }, 60_000);
});
