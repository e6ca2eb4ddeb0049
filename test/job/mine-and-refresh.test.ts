/**
 * Proves that a `mine` of the schedule never chooses from an index that is about to be replaced: it waits for one that a second process is making, and one that age asked for while its negatives were in use is made right
 * before it; and that the phases on its negatives go on without either.
 * Needs the compiled program (npm run build). Alone: npx vitest run test/job/mine-and-refresh.test.ts
 */
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { runFolder, trainFully } from "./killed-run.js";

const words = (runs: string, schedule: string, ...more: string[]): string[] => [
  "experiment=tiny",
  `run.dir=${runs}`,
  `train.schedule=${schedule}`,
  "train.contrastive.hard_negatives=2",
  "train.contrastive.lr=1e-2",
  "train.contrastive.mining.to=12",
  "train.checkpoint.every=1",
  "train.checkpoint.keep_last=50",
  "train.validate.after_each_phase=false",
  ...more,
];

interface State {
  readonly artefacts: {
    readonly index: string;
    readonly retrieval: string;
    readonly mining?: { readonly mined: string; readonly isKept: true };
  };
  readonly upkeep: { readonly isDue: boolean; readonly refreshedAt: number; readonly pending?: unknown };
}

/** The states after each step, from 1 on. */
async function statesOf(schedule: string, ...more: string[]): Promise<{ states: State[]; said: string }> {
  const runs = mkdtempSync(path.join(tmpdir(), "tandem-mines-"));
  const { code, stderr } = await trainFully(words(runs, schedule, ...more));
  expect(code, stderr).toBe(0);
  const folder = path.join(runFolder(runs) ?? "", "checkpoints");
  const file = (step: number): string => path.join(folder, `step-${String(step).padStart(8, "0")}`, "state.json");
  const states: State[] = [];
  for (let step = 1; existsSync(file(step)); step += 1) states.push(JSON.parse(readFileSync(file(step), "utf8")) as State);
  return { states, said: stderr };
}

describe("a mine", () => {
  it("waits for an index that is being made beside training, and chooses from it", async () => {
    // Refresh 1, contrastive 2 to 4, refresh 5, mine 6, contrastive 7 to 9, refresh 10.
    const { states } = await statesOf(
      "[{phase: refresh}, {phase: contrastive, steps: 3}, {phase: refresh}, {phase: mine}, {phase: contrastive, steps: 3}, {phase: refresh}]",
      "train.refresh.asynchronous=true",
      "train.refresh.swap_after=3",
      "train.refresh.threads=1",
    );
    const [before, begun, mined] = [states[3]!, states[4]!, states[5]!];
    expect(begun.upkeep.pending).toBeDefined();
    expect(begun.artefacts.index).toBe(before.artefacts.index);
    expect(mined.upkeep.pending).toBeUndefined();
    expect(mined.artefacts.index).not.toBe(before.artefacts.index);
    expect(mined.artefacts.mining?.isKept).toBe(true);
    expect(states[8]!.artefacts.mining).toEqual(mined.artefacts.mining);
  }, 120_000);

  it("makes the index first that age asked for meanwhile; the phase that trains on kept negatives doesn't", async () => {
    // Refresh 1, mine 2, contrastive 3 to 8, mine 9, contrastive 10 and 11, refresh 12.
    const { states, said } = await statesOf(
      "[{phase: refresh}, {phase: mine}, {phase: contrastive, steps: 6}, {phase: mine}, {phase: contrastive, steps: 2}, {phase: refresh}]",
      "train.refresh.at_least_every=4",
    );
    const [first] = states;
    for (const state of states.slice(1, 8)) expect(state.artefacts.index).toBe(first!.artefacts.index);
    expect(states[7]!.upkeep.isDue).toBe(true);
    const second = states[8]!;
    expect(second.artefacts.index).not.toBe(first!.artefacts.index);
    expect(second.upkeep).toMatchObject({ isDue: false, refreshedAt: 8 });
    expect(second.artefacts.mining?.mined).not.toBe(states[7]!.artefacts.mining?.mined);
    expect(said.match(/refresh at step \d+/g)).toEqual(["refresh at step 8"]);
  }, 120_000);
});
