/**
 * Proves that a command which several processes were started of refuses to run, before anything is made, instead of training in each alone; and that a batch script, which is one process whatever was asked for, runs.
 * Training, an index and an evaluation are several processes' work, where they have ranks: test/job/team.test.ts, index-team.test.ts, eval-team.test.ts; a sweep isn't. Alone: npx vitest run test/config/launch-environment.test.ts
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { requireOneProcess } from "../../src/config/launch-environment.js";
import { userErrorOf } from "./user-error.js";

const root = path.join(import.meta.dirname, "../..");

describe("one of several processes", () => {
  it.each([
    ["SLURM_STEP_NUM_TASKS", "4", /^SLURM_STEP_NUM_TASKS=4: srun started several processes.*srun --ntasks=1/],
    ["WORLD_SIZE", "2", /^WORLD_SIZE=2: torchrun started several/],
    ["OMPI_COMM_WORLD_SIZE", "8", /^OMPI_COMM_WORLD_SIZE=8: mpirun started several/],
    ["PMI_SIZE", "4", /^PMI_SIZE=4: mpiexec started several/],
  ])("cozyrag 30, 31, 32: by %s is refused", (variable, count, line) => {
    expect(userErrorOf(() => requireOneProcess({ [variable]: count }))).toMatch(line);
  });

  it.each([
    ["nothing", {}],
    ["a batch script with four tasks", { SLURM_JOB_ID: "7", SLURM_NTASKS: "4", SLURM_PROCID: "0" }],
    ["a step of one task", { SLURM_STEP_NUM_TASKS: "1", SLURM_NTASKS: "4" }],
    ["torchrun with one process", { WORLD_SIZE: "1", RANK: "0" }],
    ["an empty variable", { WORLD_SIZE: "" }],
    ["a variable that is no number", { WORLD_SIZE: "many" }],
  ])("isn't what %s says", (_, environment) => {
    expect(() => requireOneProcess(environment)).not.toThrow();
  });

  it.each(["train --multirun experiment=tiny seed=1,2", "corpus experiment=tiny --output s"])("doesn't begin tandem %s", (words) => {
    const folder = mkdtempSync(path.join(tmpdir(), "tandem-tasks-"));
    const env = { ...process.env, WORLD_SIZE: "2" };
    const { status, stderr } = spawnSync(path.join(root, "bin/tandem"), words.split(" "), { cwd: folder, encoding: "utf8", env });
    expect(status).toBe(2);
    expect(stderr).toMatch(/^tandem [a-z]+: WORLD_SIZE=2: torchrun started several processes/);
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each(["train experiment=tiny", "index --run latest", "eval latest", "mine --run latest --output n.jsonl"])(
    "doesn't begin tandem %s whose processes have no ranks",
    (words) => {
      const folder = mkdtempSync(path.join(tmpdir(), "tandem-tasks-"));
      const env = { ...process.env, WORLD_SIZE: "2" };
      const { status, stderr } = spawnSync(path.join(root, "bin/tandem"), words.split(" "), { cwd: folder, encoding: "utf8", env });
      expect(status).toBe(2);
      expect(stderr).toMatch(/^tandem (train|index|eval|mine): RANK: isn't set, but WORLD_SIZE is 2/);
      expect(readdirSync(folder)).toEqual([]);
    },
  );

  it("leaves no run directory", () => {
    const runs = mkdtempSync(path.join(tmpdir(), "tandem-tasks-"));
    const env = { ...process.env, SLURM_STEP_NUM_TASKS: "2", SLURM_PROCID: "1" };
    const words = ["train", "experiment=tiny", `run.dir=${runs}`];
    const { status, stderr } = spawnSync(path.join(root, "bin/tandem"), words, { encoding: "utf8", env });
    expect(status).toBe(2);
    expect(stderr).toMatch(/^tandem train: SLURM_STEP_NUM_TASKS=2: /);
    expect(readdirSync(runs)).toEqual([]);
  });
});
