/**
 * Proves that `tandem mine` as several processes writes the file and the report of one process, byte for byte: by a run's index with a cross-encoder as teacher, by folders of one's own, by BM25; and that what differs between the
 * processes, settings or what the index says of itself, is refused by name with nothing written. Real processes. Alone: npx vitest run test/job/mine-team.test.ts
 */
import { spawnSync } from "node:child_process";
import { appendFileSync, cpSync, existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { crossEncoderFolder } from "../nn/model-folder.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { compiledTraining } from "./compiled-training.js";
import { launchTeam, withoutLauncher } from "./launched-team.js";
import { trainedWorld, type World } from "./trained-run.js";

const training = compiledTraining("mine-team");
const teacher = crossEncoderFolder();
let world: World;
beforeAll(async () => {
  world = await trainedWorld();
}, 300_000);
afterAll(() => {
  world.remove();
  teacher.free();
});

const run = (given: readonly string[]): { status: number | null; stdout: string; stderr: string } =>
  spawnSync(training.tandem, given, { cwd: training.root, encoding: "utf8", env: { ...withoutLauncher(), OMP_NUM_THREADS: "1" } });
const bytes = (file: string): string => readFileSync(file, "utf8");

describe("tandem mine", () => {
  it.each<[string, number, string, () => string[]]>([
    [
      "a run's index and a cross-encoder",
      2,
      "mined.jsonl",
      () => [`train.contrastive.mining.teacher.path=${teacher.folder}`, "train.contrastive.mining.max_score=1"],
    ],
    ["a run's index and BM25", 3, "mined.json", () => ["train.contrastive.mining.source=both", "--format", "dpr"]],
  ])(
    "by %s, of %i processes, writes what one writes",
    (_, size, name, words) => {
      const [alone = "", together = ""] = [0, 1].map(() => path.join(temporaryFolder(), name));
      const given = (output: string): string[] => ["mine", "--run", world.run, "--output", output, "--json", "threads=1", ...words()];
      const one = run(given(alone));
      expect(one.status, one.stderr).toBe(0);
      const found = run(["launch", "--workers", String(size), ...given(together)]);
      expect(found.status, found.stderr).toBe(0);
      expect(found.stdout).toBe(one.stdout);
      expect(bytes(together)).toBe(bytes(alone));
      expect(bytes(alone).length).toBeGreaterThan(1000);
      expect(found.stderr).not.toContain("[rank");
    },
    180_000,
  );

  it("by folders of one's own writes what one writes, and refuses another index under the same name", async () => {
    const folder = temporaryFolder();
    const folders = ["--retriever", path.join(world.run, "retriever"), "--corpus", path.join(world.run, "corpus")];
    const made = run(["index", ...folders, "--output", path.join(folder, "index"), "--quiet"]);
    expect(made.status, made.stderr).toBe(0);
    const given = (index: string, output: string): string[] => [
      ...folders,
      ...["--index", index, "--questions", path.join(world.folder, "test.jsonl")],
      ...["--output", path.join(folder, output), "--quiet", "threads=1"],
    ];
    const one = run(["mine", ...given(path.join(folder, "index"), "alone.tsv")]);
    expect(one.status, one.stderr).toBe(0);
    const found = run(["launch", "--workers", "2", "mine", ...given(path.join(folder, "index"), "together.tsv")]);
    expect(found.status, found.stderr).toBe(0);
    expect(bytes(path.join(folder, "together.tsv"))).toBe(bytes(path.join(folder, "alone.tsv")));

    const disks = [0, 1].map(() => temporaryFolder());
    for (const disk of disks) cpSync(path.join(folder, "index"), path.join(disk, "index"), { recursive: true });
    appendFileSync(path.join(disks[1]!, "index/provenance.json"), " ");
    const tasks = await launchTeam(training, () => given("/proc/self/cwd/index", "never.tsv"), {
      verb: "mine",
      on: (rank, command) => ["env", "-C", disks[rank]!, ...command],
    });
    for (const { code, stderr } of await Promise.all(tasks.map(({ ended }) => ended))) {
      expect(code, stderr).toBe(2);
      expect(stderr).toMatch(/^tandem mine: .*worker 1: \/proc\/self\/cwd\/index: is another index than worker 0's of that name/m);
    }
    expect(existsSync(path.join(folder, "never.tsv"))).toBe(false);
  }, 180_000);

  it("refuses, by name and on both, another setting of one; and a mistake of the words on each", async () => {
    const output = path.join(temporaryFolder(), "mined.jsonl");
    const tasks = await launchTeam(training, (rank) => ["--run", world.run, "--output", output, "--negatives", String(1 + rank)], {
      verb: "mine",
    });
    for (const { code, stderr } of await Promise.all(tasks.map(({ ended }) => ended))) {
      expect(code).toBe(2);
      expect(stderr).toMatch(/^tandem mine: rank 1 of job script on node \S+: has another config/m);
    }
    const wrong = run(["launch", "--workers", "2", "mine", "--run", world.run, "--output", output, "--negatives", "0"]);
    expect(wrong.status).toBe(2);
    expect(wrong.stderr).toMatch(/--negatives: is no number of negatives/);
    expect(existsSync(output)).toBe(false);
  }, 180_000);
});
