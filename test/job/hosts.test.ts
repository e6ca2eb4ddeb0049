/**
 * Proves, with two network namespaces as hosts, that two tasks train one run over the network between them and over nothing else; that a cable that is pulled out ends both within a minute, each naming the other's rank, host and last
 * step, with whole checkpoints, whatever they were doing, and that the run goes on bit for bit; and that one that is put in again soon is not noticed. Makes them with `ip`, as root; where that can't be done it is skipped, and says
 * why. Slow (several minutes). Alone: npx vitest run test/job/hosts.test.ts
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { readSafetensors } from "../../src/storage/safetensors.js";
import { listCheckpoints } from "../../src/training/checkpoint.js";
import { compiledTraining } from "./compiled-training.js";
import { expectEqualRuns, expectLikeLosses, runFolder, type Finished } from "./killed-run.js";
import { isAlive, launchTeam, workerPid, type Task } from "./launched-team.js";
import { twoHosts, type Host } from "./two-hosts.js";

const made = twoHosts();
const training = compiledTraining("hosts");
const SCHEDULE =
  "{phase: generator, steps: 6}, {phase: refresh}, {phase: contrastive, steps: 6, with: {hard_negatives: 1}}, {phase: joint, steps: 6}";

const words = (runs: string, ...more: string[]): string[] => [
  "experiment=tiny",
  `run.dir=${runs}`,
  "threads=1",
  "precision=f32",
  `train.schedule=[${SCHEDULE}]`,
  "train.log.every=1",
  "train.checkpoint.every=3",
  "train.validate.every=4",
  "train.reader.passages=2",
  ...more,
  "--quiet",
];

/** Once the run has a file that holds `text`. */
const onSeeing = async (runs: string, file: string, text = ""): Promise<string> => {
  for (;;) {
    const run = runFolder(runs);
    const seen = run === undefined ? undefined : path.join(run, file);
    if (seen !== undefined && existsSync(seen) && (text === "" || readFileSync(seen, "utf8").includes(text))) return run!;
    await sleep(5);
  }
};
const faultsOf = ({ stderr }: Finished): string[] => stderr.split("\n").filter((line) => line.startsWith("tandem "));
const expectCodes = (ends: readonly Finished[], codes: readonly number[]): void =>
  expect(
    ends.map(({ code }) => code),
    ends.map(({ stderr }) => stderr).join("\n---\n"),
  ).toEqual(codes);

/** Every checkpoint's folder is complete, and every tensor in it is there. */
function expectWholeCheckpoints(run: string): void {
  const folder = path.join(run, "checkpoints");
  const listed = listCheckpoints(folder);
  expect(listed.length).toBeGreaterThan(0);
  expect(readdirSync(folder).filter((name) => name.startsWith("step-"))).toHaveLength(listed.length);
  for (const checkpoint of listed) {
    for (const model of ["retriever", "generator"])
      for (const file of [`${model}.safetensors`, `${model}.optimiser.safetensors`])
        expect(readSafetensors(path.join(checkpoint.folder, file)).tensors.size, `${checkpoint.folder}/${file}`).toBeGreaterThan(0);
  }
}

describe.skipIf(typeof made === "string")(`two hosts${typeof made === "string" ? ` (skipped ${made})` : ""}`, () => {
  const { hosts } = made as Exclude<typeof made, string>;
  const launch = (given: readonly string[]): Promise<Task[]> =>
    launchTeam(training, () => given, {
      env: () => ({ MASTER_ADDR: hosts[0].address, LOCAL_RANK: "0", LOCAL_WORLD_SIZE: "1" }),
      on: (rank, command) => hosts[rank]!.on(command),
    });
  const endOf = (tasks: readonly Task[]): Promise<Finished[]> => Promise.all(tasks.map(({ ended }) => ended));
  /** Runs of one worker, and of two on one host. */
  const undisturbed: Record<"one" | "two", string> = { one: "", two: "" };

  beforeAll(async () => {
    for (const [i, name] of (["one", "two"] as const).entries()) {
      const runs = training.runs();
      const { code, stderr } = await training.start(words(runs, `train.workers=${i + 1}`)).ended;
      expect(code, stderr).toBe(0);
      undisturbed[name] = runFolder(runs)!;
    }
  }, 300_000);
  afterEach(() => hosts.forEach((host) => host.cable("up")));
  afterAll(() => (made as Exclude<typeof made, string>).remove());

  it("train one run over the network between them alone, with the digits of two workers on one host and the losses of one", async () => {
    const runs = training.runs();
    const tasks = await launch(words(runs));
    const seen = await watch(hosts, tasks);
    expectCodes(await endOf(tasks), [0, 0]);
    expectEqualRuns(runFolder(runs)!, undisturbed.two);
    expectLikeLosses(runFolder(runs)!, undisturbed.one);
    const addresses = hosts.map(({ address }) => address);
    for (const [rank, { driver, worker, connections }] of seen.entries()) {
      // The first worker's own connections to its store included.
      expect(connections.filter(({ own, other }) => !addresses.includes(own) || !addresses.includes(other))).toEqual([]);
      const across = connections.filter(({ own, other }) => own === addresses[rank] && other === addresses[1 - rank]);
      for (const pid of [driver, worker]) expect(across.map((connection) => connection.pid)).toContain(pid);
    }
  }, 300_000);

  describe("a cable that is pulled out", () => {
    it.each([
      ["of the second, between steps", 1, "metrics.jsonl", '"step":3,'],
      ["of the first, between steps", 0, "metrics.jsonl", '"step":9,'],
      ["of the second, before the first step", 1, "environment.json", ""],
      ["of the second, while the first evaluates alone", 1, "metrics.jsonl", '"step":18,'],
    ] as const)(
      "%s, ends both within a minute, each naming the other, and the run goes on bit for bit",
      async (_, rank, file, text) => {
        const runs = training.runs();
        const tasks = await launch(words(runs));
        const run = await onSeeing(runs, file, text);
        const workers = tasks.map(({ process: driver }) => workerPid(driver));
        hosts[rank].cable("down");
        const start = performance.now();
        const ends = await endOf(tasks);
        expect(performance.now() - start).toBeLessThan(60_000);
        expectCodes(ends, [2, 2]);
        const step = text === "" ? "( after step \\d+)?" : " after step \\d+";
        for (const [own, end] of ends.entries()) {
          const other = 1 - own;
          const line = `^tandem train: rank ${other} on node ${hosts[other]!.name}: silent for 30 s${step}; go on from the last checkpoint: tandem train --resume ${run}$`;
          expect(faultsOf(end)).toEqual([expect.stringMatching(new RegExp(line))]);
          expect(end.stderr).not.toMatch(/\n\s+at /);
        }
        for (let tries = 0; tries < 200 && workers.some((pid) => pid !== undefined && isAlive(pid)); tries++) await sleep(50);
        expect(spawnSync("pgrep", ["-f", run], { encoding: "utf8" }).stdout).toBe("");
        if (text !== "") expectWholeCheckpoints(run);
        hosts[rank].cable("up");
        expectCodes(await endOf(await launch([...words(runs), "--resume", "auto"])), [0, 0]);
        expect(readdirSync(runs)).toHaveLength(1);
        expectEqualRuns(run, undisturbed.two);
      },
      300_000,
    );

    it("and put in again after ten seconds is not noticed", async () => {
      const runs = training.runs();
      const tasks = await launch(words(runs));
      await onSeeing(runs, "metrics.jsonl", '"step":3,');
      hosts[0].cable("down");
      await sleep(10_000);
      expect(tasks.map(({ process: driver }) => driver.exitCode)).toEqual([null, null]);
      hosts[0].cable("up");
      const ends = await endOf(tasks);
      expectCodes(ends, [0, 0]);
      for (const end of ends) expect(faultsOf(end)).toEqual([]);
      expectEqualRuns(runFolder(runs)!, undisturbed.two);
    }, 300_000);
  });
});

interface Connection {
  readonly own: string;
  readonly other: string;
  readonly pid: number;
}

interface Seen {
  readonly driver: number;
  worker: number | undefined;
  readonly connections: Connection[];
}

/** All connections that were there while the tasks ran, by rank. */
async function watch(hosts: readonly Host[], tasks: readonly Task[]): Promise<Seen[]> {
  const seen = tasks.map(({ process: driver }): Seen => ({ driver: driver.pid!, worker: undefined, connections: [] }));
  while (tasks.every(({ process: driver }) => driver.exitCode === null && driver.signalCode === null)) {
    for (const [rank, one] of seen.entries()) {
      one.worker ??= workerPid(tasks[rank]!.process);
      one.connections.push(...connectionsOn(hosts[rank]!));
    }
    await sleep(100);
  }
  return seen;
}

function connectionsOn(host: Host): Connection[] {
  const [command = "", ...rest] = host.on(["ss", "-tnpH"]);
  const { status, stdout, stderr } = spawnSync(command, rest, { encoding: "utf8" });
  expect(status, stderr).toBe(0);
  const addressOf = (end = ""): string => end.slice(0, end.lastIndexOf(":")).replace(/^\[(::ffff:)?(.*)\]$/, "$2");
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [, , , own, other] = line.split(/\s+/);
      return { own: addressOf(own), other: addressOf(other), pid: Number(/pid=(\d+)/.exec(line)?.[1]) };
    });
}
