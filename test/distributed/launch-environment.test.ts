/**
 * Proves that a process reads its place from what torchrun, srun or a script sets, meets the others on a port that is free, and refuses every contradiction by the variable's name.
 * Alone: npx vitest run test/distributed/launch-environment.test.ts
 */
import { expect, it } from "vitest";
import { launchPlace, tasksWithoutStep } from "../../src/distributed/launch-environment.js";

const torchrun = {
  RANK: "5",
  WORLD_SIZE: "8",
  LOCAL_RANK: "1",
  LOCAL_WORLD_SIZE: "4",
  GROUP_RANK: "1",
  GROUP_WORLD_SIZE: "2",
  MASTER_ADDR: "n1",
  MASTER_PORT: "29500",
  TORCHELASTIC_RUN_ID: "abc",
  TORCHELASTIC_RESTART_COUNT: "2",
  TORCHELASTIC_USE_AGENT_STORE: "True",
};
const script = { RANK: "1", WORLD_SIZE: "2", LOCAL_RANK: "0", LOCAL_WORLD_SIZE: "1", MASTER_ADDR: "n1", MASTER_PORT: "29500" };
/** The batch script's variables, which every step has too. */
const batch = {
  SLURM_JOB_ID: "123456",
  SLURM_NTASKS: "7",
  SLURM_PROCID: "0",
  SLURM_LOCALID: "0",
  SLURM_NODEID: "0",
  SLURM_JOB_NUM_NODES: "4",
  SLURM_JOB_NODELIST: "gpu[08-11]",
  SLURM_TASKS_PER_NODE: "2(x3),1",
};
const step = { ...batch, SLURM_STEP_ID: "3", SLURM_STEP_NUM_TASKS: "7", SLURM_PROCID: "3", SLURM_LOCALID: "1", SLURM_NODEID: "1" };

it("is nobody's process without a launcher, in a batch script, and in a step of one task", () => {
  for (const environment of [
    {},
    { RANK: "", WORLD_SIZE: "" },
    { WORLD_SIZE: "1", MASTER_ADDR: "n1" },
    { OMPI_COMM_WORLD_SIZE: "1", PMI_SIZE: "1" },
    batch,
    { ...batch, SLURM_STEP_ID: "0", SLURM_STEP_NUM_TASKS: "1" },
  ]) {
    expect(launchPlace(environment)).toBeUndefined();
  }
});

it("notices tasks that were asked for and not started, and only those", () => {
  expect(tasksWithoutStep(batch)).toBe(7);
  expect(tasksWithoutStep(step)).toBeUndefined();
  expect(tasksWithoutStep({ ...batch, ...torchrun })).toBeUndefined();
  expect(tasksWithoutStep({ ...batch, SLURM_NTASKS: "1" })).toBeUndefined();
  expect(tasksWithoutStep({})).toBeUndefined();
});

it("is torchrun's process, whose port is not the agent store's and moves on with the attempts", () => {
  const place = {
    launcher: "torchrun",
    rank: 5,
    size: 8,
    localRank: 1,
    localSize: 4,
    nodeRank: 1,
    host: "n1",
    port: 29503,
    jobId: "abc",
    attempt: 2,
  };
  expect(launchPlace(torchrun)).toEqual(place);
  expect(launchPlace({ ...torchrun, TORCHELASTIC_USE_AGENT_STORE: "False" })).toEqual({ ...place, port: 29500 });
  expect(launchPlace({ ...torchrun, TANDEM_PORT: "4242" })).toEqual({ ...place, port: 4242 });
  const alone = { ...torchrun, RANK: "0", WORLD_SIZE: "1", LOCAL_RANK: "0", LOCAL_WORLD_SIZE: "1", GROUP_RANK: "0", GROUP_WORLD_SIZE: "1" };
  expect(launchPlace(alone)).toMatchObject({ launcher: "torchrun", rank: 0, size: 1, attempt: 2 });
});

it("is torchrun's process also where srun or mpirun started the agents", () => {
  const agents = { ...batch, SLURM_STEP_ID: "0", SLURM_STEP_NUM_TASKS: "2", SLURM_PROCID: "0", SLURM_CPUS_PER_TASK: "32" };
  expect(launchPlace({ ...agents, ...torchrun })).toMatchObject({ launcher: "torchrun", rank: 5, size: 8, jobId: "abc" });
  expect(launchPlace({ ...agents, ...torchrun })).not.toHaveProperty("cpusPerTask");
  expect(launchPlace({ OMPI_COMM_WORLD_SIZE: "2", OMPI_COMM_WORLD_RANK: "1", ...torchrun })).toMatchObject({ rank: 5 });
  expect(() => launchPlace({ ...agents, ...torchrun, GROUP_WORLD_SIZE: "1" })).toThrow(
    /^SLURM_STEP_NUM_TASKS=2: srun started several torchruns that don't know of each other.*torchrun --nnodes=2/,
  );
});

it("is a script's process, which may be alone without an address", () => {
  expect(launchPlace(script)).toEqual({
    launcher: "script",
    rank: 1,
    size: 2,
    localRank: 0,
    localSize: 1,
    host: "n1",
    port: 29500,
    jobId: "script",
    attempt: 0,
  });
  expect(launchPlace({ RANK: "0", WORLD_SIZE: "1" })).toMatchObject({ launcher: "script", rank: 0, size: 1, localRank: 0, localSize: 1 });
  const agreeing = { ...step, ...script, RANK: "3", WORLD_SIZE: "7", SLURM_CPUS_PER_TASK: "4", SLURM_RESTART_COUNT: "1" };
  expect(launchPlace(agreeing)).toMatchObject({ launcher: "script", rank: 3, jobId: "123456.3", attempt: 1, cpusPerTask: 4 });
});

it("is a task of a Slurm step, met on the first node", () => {
  const place = {
    launcher: "slurm",
    rank: 3,
    size: 7,
    localRank: 1,
    localSize: 2,
    nodeRank: 1,
    host: "gpu08",
    port: 33456,
    jobId: "123456.3",
    attempt: 0,
  };
  expect(launchPlace(step)).toEqual(place);
  expect(launchPlace({ ...step, SLURM_STEP_NUM_TASKS: undefined })).toEqual(place);
  expect(launchPlace({ ...step, WORLD_SIZE: "7", MASTER_ADDR: "n9", MASTER_PORT: "4000" })).toEqual({ ...place, host: "n9", port: 4000 });
  expect(launchPlace({ ...step, TANDEM_PORT: "4242", MASTER_PORT: "4000" })).toEqual({ ...place, port: 4242 });
  expect(launchPlace({ ...step, SLURM_RESTART_COUNT: "2", SLURM_CPUS_PER_TASK: "8" })).toEqual({ ...place, attempt: 2, cpusPerTask: 8 });
  expect(launchPlace({ ...step, SLURMD_NODENAME: "gpu09" })).toEqual({ ...place, nodeName: "gpu09" });
  expect(launchPlace({ ...step, SLURM_STEP_NODELIST: "gpu10,gpu11", PMI_SIZE: "7", PMI_RANK: "3" })).toEqual({ ...place, host: "gpu10" });
  const last = { ...step, SLURM_PROCID: "6", SLURM_LOCALID: "0", SLURM_NODEID: "3" };
  expect(launchPlace(last)).toMatchObject({ rank: 6, localRank: 0, localSize: 1, nodeRank: 3 });
  const oneNode = { ...step, SLURM_NODEID: "0", SLURM_LOCALID: "3", SLURM_JOB_NUM_NODES: "1", SLURM_TASKS_PER_NODE: "" };
  expect(launchPlace(oneNode)).toMatchObject({ localRank: 3, localSize: 7 });
});

it.each([
  [{ RANK: "0" }, "WORLD_SIZE: isn't set, but RANK is 0"],
  [{ WORLD_SIZE: "4" }, "RANK: isn't set, but WORLD_SIZE is 4"],
  [{ WORLD_SIZE: "0" }, "RANK: isn't set, but WORLD_SIZE is 0"],
  [{ ...batch, WORLD_SIZE: "7" }, "RANK: isn't set, but WORLD_SIZE is 7"],
  [{ ...step, WORLD_SIZE: "1" }, "RANK: isn't set, but WORLD_SIZE is 1 and SLURM_STEP_NUM_TASKS is 7"],
  [{ ...script, RANK: "2" }, "RANK=2: there is no such process; expected less than WORLD_SIZE=2"],
  [{ ...script, WORLD_SIZE: "0" }, "RANK=1: there is no such process"],
  [{ ...script, RANK: "-1" }, "RANK: isn't a whole number; expected 0, 1, 2 …, got '-1'"],
  [{ ...script, RANK: "1.0" }, "RANK: isn't a whole number"],
  [{ ...script, RANK: "0x1" }, "RANK: isn't a whole number"],
  [{ ...script, WORLD_SIZE: "two" }, "WORLD_SIZE: isn't a whole number; expected 0, 1, 2 …, got 'two'"],
  [{ ...script, LOCAL_RANK: "1" }, "LOCAL_RANK=1: there is no such process; expected less than LOCAL_WORLD_SIZE=1"],
  [{ ...script, LOCAL_RANK: "" }, "LOCAL_RANK: isn't set"],
  [{ ...script, LOCAL_WORLD_SIZE: undefined }, "LOCAL_WORLD_SIZE: isn't set"],
  [{ ...script, LOCAL_WORLD_SIZE: "3" }, "there is no such process; expected less than WORLD_SIZE=2"],
  [{ ...script, MASTER_ADDR: "" }, "MASTER_ADDR: isn't set, but WORLD_SIZE is 2"],
  [{ ...script, MASTER_PORT: "" }, "MASTER_PORT: isn't set, but WORLD_SIZE is 2"],
  [{ ...script, MASTER_PORT: "0" }, "MASTER_PORT: no such port; expected 1 to 65535, got 0"],
  [{ ...script, TANDEM_PORT: "65536" }, "TANDEM_PORT: no such port"],
  [{ ...torchrun, MASTER_PORT: "65533" }, "MASTER_PORT=65533: no such port; expected 1 to 65535, got 65536; set TANDEM_PORT"],
  [{ ...torchrun, TORCHELASTIC_RESTART_COUNT: "x" }, "TORCHELASTIC_RESTART_COUNT: isn't a whole number"],
  [{ ...step, ...script }, "RANK=1, WORLD_SIZE=2: srun says otherwise; expected SLURM_PROCID=3, SLURM_STEP_NUM_TASKS=7"],
  [{ ...step, ...script, RANK: "0", WORLD_SIZE: "7" }, "RANK=0, WORLD_SIZE=7: srun says otherwise"],
  [{ ...script, OMPI_COMM_WORLD_SIZE: "2", OMPI_COMM_WORLD_RANK: "0" }, "RANK=1, WORLD_SIZE=2: mpirun says otherwise"],
  [{ OMPI_COMM_WORLD_SIZE: "4" }, "OMPI_COMM_WORLD_SIZE=4: mpirun started several processes"],
  [{ PMI_SIZE: "2" }, "PMI_SIZE=2: mpiexec started several processes"],
  [{ ...step, OMPI_COMM_WORLD_SIZE: "14" }, "OMPI_COMM_WORLD_SIZE=14: mpirun started several processes"],
  [{ ...step, SLURM_PROCID: "" }, "SLURM_PROCID: isn't set, but SLURM_STEP_NUM_TASKS is 7"],
  [{ ...step, SLURM_PROCID: "7" }, "SLURM_PROCID=7: there is no such process"],
  [{ ...step, SLURM_LOCALID: "2" }, "SLURM_LOCALID=2: there is no such process"],
  [{ ...step, SLURM_NODEID: "4" }, "SLURM_TASKS_PER_NODE: doesn't say how many tasks node 4 of this step has"],
  [{ ...step, SLURM_TASKS_PER_NODE: "2(x4)" }, "expected a list like 2(x3),1 of 7 tasks, got '2(x4)'"],
  [{ ...step, SLURM_TASKS_PER_NODE: "two" }, "expected a list like 2(x3),1 of 7 tasks, got 'two'"],
  [{ ...step, SLURM_TASKS_PER_NODE: "" }, "SLURM_STEP_TASKS_PER_NODE: doesn't say"],
  [{ ...step, SLURM_JOB_NODELIST: "" }, "SLURM_STEP_NODELIST: isn't set, so nobody knows where rank 0 is"],
  [{ ...step, SLURM_JOB_NODELIST: "gpu[8" }, "SLURM_JOB_NODELIST: '[' without its other half"],
  [{ ...step, SLURM_JOB_ID: "" }, "SLURM_JOB_ID: isn't set"],
])("refuses %o", (environment, what) => {
  let thrown: unknown;
  try {
    launchPlace(environment);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({ name: "UserError" });
  expect((thrown as Error).message).toContain(what);
});
