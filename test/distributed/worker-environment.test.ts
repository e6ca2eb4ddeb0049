/**
 * Proves that a worker process keeps freed memory for its next step: tensors of many megabytes, made and freed again and again, cost next to no new pages; that what the user set of the C library's memory stands; and that training's workers
 * are started so. Real processes; without glibc the first is skipped. Alone: npx vitest run test/distributed/worker-environment.test.ts
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { workerEnvironment } from "../../src/distributed/worker-environment.js";
import { compiledTraining, workersOf } from "../job/compiled-training.js";
import { ROOT, runFolder } from "../job/killed-run.js";

const training = compiledTraining("worker-environment");
const isGlibc = (process.report.getReport() as { header: { glibcVersionRuntime?: string } }).header.glibcVersionRuntime !== undefined;

/** Makes and frees 100 MB twenty times; prints the pages that were given to it meanwhile. */
const PROGRAM = `
import { readFileSync } from "node:fs";
import { ops } from ${JSON.stringify(path.join(ROOT, "src/engine/tensor.ts"))};
const faults = () => Number(readFileSync("/proc/self/stat", "utf8").split(") ")[1].split(" ")[7]);
const make = () => ops.zeros([25_000_000], "f32").fill_(1).dispose();
for (let i = 0; i < 10; i++) make();
const before = faults();
for (let i = 0; i < 20; i++) make();
console.log(faults() - before);
`;

function faultsOf(env: NodeJS.ProcessEnv): number {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", PROGRAM], {
    cwd: ROOT,
    encoding: "utf8",
    env,
  });
  expect(status, stderr).toBe(0);
  return Number(stdout);
}

const undecided = (): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(MALLOC_|GLIBC_)/.test(name)));

describe("a worker's environment", () => {
  it.skipIf(!isGlibc)(
    "keeps freed memory: pages are given once, not at every step",
    () => {
      const [plain, kept] = [faultsOf(undecided()), faultsOf(workerEnvironment(undecided()))];
      expect(plain).toBeGreaterThan(20 * 20_000);
      expect(kept).toBeLessThan(plain / 5);
    },
    60_000,
  );

  it.each([{ MALLOC_ARENA_MAX: "2" }, { MALLOC_TRIM_THRESHOLD_: "131072" }, { GLIBC_TUNABLES: "glibc.malloc.mmap_threshold=33554432" }])(
    "is the user's own where that says how memory is had: %o",
    (own) => {
      expect(workerEnvironment({ ...undecided(), ...own })).toEqual({ ...undecided(), ...own });
    },
  );

  it("keeps everything else, other tunables too", () => {
    const own = { PATH: "/bin", GLIBC_TUNABLES: "glibc.pthread.rseq=0" };
    expect(workerEnvironment(own)).toMatchObject(own);
    expect(Object.keys(workerEnvironment(own))).toHaveLength(5);
  });

  it("is that of training's workers", async () => {
    const runs = training.runs();
    const started = training.start(["experiment=tiny", `run.dir=${runs}`, "train.workers=2", "--quiet"]);
    let environments: string[] = [];
    while (environments.length < 2 && started.process.exitCode === null) {
      const run = runFolder(runs);
      environments = (run === undefined ? [] : workersOf(run)).map((pid) => readFileSync(`/proc/${pid}/environ`, "utf8"));
      await sleep(20);
    }
    started.process.kill("SIGKILL");
    expect(environments).toHaveLength(2);
    for (const environment of environments) expect(environment).toContain("\0MALLOC_MMAP_MAX_=0\0");
  }, 120_000);
});
