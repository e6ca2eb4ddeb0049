/**
 * Proves that `tandem eval` as several processes scores a run as one process does: the same report to the last digit, the same answers, one text; that a process which is killed while all
 * answer ends all by its name, and SIGTERM ends all with 75, with nothing written; and that what differs between them, models too, is refused by name. Real processes. Alone: npx vitest run test/job/eval-team.test.ts
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { temporaryFolder } from "../storage/bad-input.js";
import { compiledTraining } from "./compiled-training.js";
import { isAlive, launchTeam, withoutLauncher, workerPid, type Task } from "./launched-team.js";
import { trainedWorld, type World } from "./trained-run.js";

const training = compiledTraining("eval-team");
let world: World;
beforeAll(async () => {
  world = await trainedWorld();
}, 300_000);
afterAll(() => world.remove());

const words = (output: string, ...more: string[]): string[] => [
  world.run,
  "--output",
  output,
  "threads=1",
  "eval.batch=2",
  `eval.questions=${path.join(world.folder, "train.jsonl")}`,
  "eval.rows=[closed-book,random-passage,bm25,base-pair,trained-pair,gold-passage]",
  ...more,
];
const run = (given: readonly string[]): { status: number | null; stdout: string; stderr: string } =>
  spawnSync(training.tandem, given, { cwd: training.root, encoding: "utf8", env: { ...withoutLauncher(), OMP_NUM_THREADS: "1" } });

/** The report without what a clock decides. */
function reportOf(folder: string): Record<string, unknown> {
  const report = JSON.parse(readFileSync(path.join(folder, "report.json"), "utf8")) as Record<string, unknown>;
  delete report["seconds"];
  return report;
}
const answersOf = (folder: string): string => readFileSync(path.join(folder, "answers.jsonl"), "utf8");
const one = temporaryFolder();

describe("tandem eval", () => {
  beforeAll(() => {
    const { status, stderr } = run(["eval", ...words(path.join(one, "score"))]);
    expect(status, stderr).toBe(0);
  }, 180_000);

  it.each([1, 2, 3])(
    "of %i processes has the report and the answers of one",
    (size) => {
      const folder = path.join(temporaryFolder(), "score");
      const { status, stdout, stderr } = run(["launch", "--workers", String(size), "eval", ...words(folder)]);
      expect(status, stderr).toBe(0);
      expect(reportOf(folder)).toEqual(reportOf(path.join(one, "score")));
      expect(answersOf(folder)).toBe(answersOf(path.join(one, "score")));
      expect(stdout.match(/^written to /gm)).toHaveLength(1);
      expect(stderr).not.toContain("[rank");
      expect(stderr).toContain(`== evaluation: 16 questions, 6 rows${size === 1 ? "" : `, answered by ${size} processes`}\n`);
      expect(stderr).toContain("row trained-pair: 16/16 answers");
    },
    180_000,
  );

  it("refuses, by name and on both, another setting of one", async () => {
    const folder = path.join(temporaryFolder(), "score");
    const tasks = await launchTeam(training, (rank) => words(folder, "--quiet", `seed=${rank}`), { verb: "eval" });
    for (const { code, stderr } of await Promise.all(tasks.map(({ ended }) => ended))) {
      expect(code).toBe(2);
      expect(stderr).toMatch(/^tandem eval: rank 1 of job script on node \S+: has another config/m);
    }
    expect(existsSync(folder)).toBe(false);
  }, 180_000);

  it("refuses a run that isn't the same for all, where nodes have files of one name", async () => {
    const disks = [0, 1].map(() => temporaryFolder());
    for (const disk of disks) cpSync(world.run, path.join(disk, "run"), { recursive: true });
    const weights = path.join(disks[1]!, "run/generator/model.safetensors");
    const bytes = readFileSync(weights);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(weights, bytes);
    const folder = path.join(temporaryFolder(), "score");
    const tasks = await launchTeam(training, () => ["/proc/self/cwd/run", ...words(folder).slice(1)], {
      verb: "eval",
      on: (rank, command) => ["env", "-C", disks[rank]!, ...command],
    });
    for (const { code, stderr } of await Promise.all(tasks.map(({ ended }) => ended))) {
      expect(code, stderr).toBe(2);
      expect(stderr).toMatch(/^tandem eval: .*the generator's weights of worker 1 aren't those of worker 0/m);
    }
    expect(existsSync(folder)).toBe(false);
  }, 180_000);

  it("ends all when the first alone sees a mistake", async () => {
    const folder = path.join(temporaryFolder(), "score");
    const tasks = await launchTeam(training, () => words(folder, "eval.passages=nowhere.jsonl"), { verb: "eval" });
    for (const { code, stderr } of await Promise.all(tasks.map(({ ended }) => ended))) {
      expect(code, stderr).toBe(2);
      expect(stderr).toMatch(/^tandem eval: .*nowhere\.jsonl/m);
    }
  }, 180_000);

  /** So many answers that there is a midst. */
  const long = (folder: string): string[] => words(folder, "generation.strategy=beam", "generation.beams=8", "eval.max_new_tokens=200");
  /** Until the first row is answered: then all answer the second. */
  const inTheMidst = async ([first]: readonly Task[]): Promise<void> => {
    let said = "";
    first!.process.stderr!.on("data", (chunk: Buffer) => (said += chunk.toString()));
    while (!said.includes("row closed-book: 16/16 answers")) {
      expect(first!.process.exitCode, said).toBeNull();
      await sleep(5);
    }
  };

  it.each([0, 1])(
    "ends by the name of rank %i when its worker is killed, with 2 and nothing written",
    async (rank) => {
      const folder = path.join(temporaryFolder(), "score");
      const tasks = await launchTeam(training, () => long(folder), { verb: "eval" });
      await inTheMidst(tasks);
      const workers = tasks.map(({ process: driver }) => workerPid(driver)!);
      process.kill(workers[rank]!, "SIGKILL");
      for (const { code, stderr } of await Promise.all(tasks.map(({ ended }) => ended))) {
        expect(code).toBe(2);
        expect(stderr).toMatch(
          new RegExp(
            `^tandem eval: rank ${rank} on node \\S+: its worker \\(process \\d+\\) was ended by SIGKILL.*run the same command again$`,
            "m",
          ),
        );
      }
      for (let tries = 0; tries < 200 && workers.some(isAlive); tries++) await sleep(50);
      expect(workers.filter(isAlive)).toEqual([]);
      expect(existsSync(folder)).toBe(false);
    },
    180_000,
  );

  it.each([0, 1])(
    "ends with 75 at SIGTERM to rank %i, with nothing written",
    async (rank) => {
      const folder = path.join(temporaryFolder(), "score");
      const tasks = await launchTeam(training, () => long(folder), { verb: "eval" });
      await inTheMidst(tasks);
      tasks[rank]!.process.kill("SIGTERM");
      const ends = await Promise.all(tasks.map(({ ended }) => ended));
      expect(
        ends.map(({ code }) => code),
        ends.map(({ stderr }) => stderr).join("\n"),
      ).toEqual([75, 75]);
      expect(ends[0]!.stderr).toContain("stopped; nothing was scored\n");
      expect(existsSync(folder)).toBe(false);
    },
    180_000,
  );
});
