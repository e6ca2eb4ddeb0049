/**
 * Proves that `tandem plan` foretells a run that is then really made: the bytes of states and checkpoints exactly, the run directory and the memory of the process that trains within stated bounds, checkpoints, validations and indexes by their
 * number; that it says which limit is hit first; that larger corpora, other nodes and a given link change what they should and nothing else; and that it leaves nothing behind. Real processes; about a minute.
 * Alone: npx vitest run test/cli/plan.test.ts
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Forecast } from "../../src/job/plan/forecast.js";
import { compiledTraining, workerOf } from "../job/compiled-training.js";
import { makeFiles, tinyWords } from "../job/trained-run.js";
import { spawnSync } from "node:child_process";

const training = compiledTraining("plan");
const folder = makeFiles();
const temporary = path.join(folder, "temporary");
mkdirSync(temporary);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SCHEDULE =
  "[{phase: generator, steps: 30, contexts: gold}, {phase: refresh}, {phase: contrastive, steps: 30}, {phase: refresh}, {phase: generator, steps: 30}]";
const words = [
  ...tinyWords(folder),
  `train.schedule=${SCHEDULE}`,
  "train.validate.after_each_phase=true",
  "eval.rows=[closed-book, bm25, base-pair, trained-pair]",
];

function plan(...more: string[]): { status: number | null; out: string; error: string } {
  const env = { ...process.env, NODE_OPTIONS: "", TMPDIR: temporary };
  const { status, stdout, stderr } = spawnSync(training.tandem, ["plan", ...words, "--quiet", ...more], {
    encoding: "utf8",
    cwd: training.root,
    env,
  });
  return { status, out: stdout, error: stderr };
}

const made = (...more: string[]): Forecast => JSON.parse(plan("--json", ...more).out) as Forecast;
const bytesIn = (place: string): number =>
  readdirSync(place, { withFileTypes: true, recursive: true }).reduce(
    (sum, entry) => sum + (entry.isFile() ? statSync(path.join(entry.parentPath, entry.name)).size : 0),
    0,
  );
const diskRow = ({ disk }: Forecast, name: string) => disk.rows.find(({ what }) => what === name);
const memoryRow = ({ memory }: Forecast, name: string): number => memory.rows.find(({ what }) => what.startsWith(name))?.first ?? NaN;

/** Trains, and gives the run's folder and the most memory that the worker held. */
async function trained(): Promise<{ run: string; peak: number }> {
  const { process: driver, ended } = training.start(words);
  let peak = 0;
  const watch = setInterval(() => {
    const worker = workerOf(driver);
    try {
      const status = readFileSync(`/proc/${worker ?? 0}/status`, "utf8");
      peak = Math.max(peak, 1024 * Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0));
    } catch {
      // It isn't there yet, or not any more.
    }
  }, 20);
  const { code, stderr } = await ended;
  clearInterval(watch);
  if (code !== 0) throw new Error(stderr);
  const runs = path.join(folder, "runs");
  return { run: path.join(runs, readdirSync(runs)[0] ?? ""), peak };
}

describe("tandem plan", () => {
  let foretold: Forecast;
  let run: string;
  let peak: number;
  beforeAll(async () => {
    foretold = made("--seconds", "4", "--nodes", "1,2,64");
    ({ run, peak } = await trained());
  }, 120_000);

  it("knows the bytes of a checkpoint's tensors exactly, and how many there are", () => {
    const checkpoints = path.join(run, "checkpoints");
    const kept = readdirSync(checkpoints);
    const row = diskRow(foretold, "checkpoints");
    expect(kept).toHaveLength((row?.last ?? NaN) / ((row?.bytes ?? NaN) / (row?.count ?? NaN)));
    const newest = path.join(checkpoints, kept.sort().at(-1) ?? "");
    const tensors = readdirSync(newest)
      .filter((name) => name.endsWith(".safetensors"))
      .reduce((sum, name) => sum + tensorBytes(path.join(newest, name)), 0);
    expect(memoryRow(foretold, "weights") + memoryRow(foretold, "moments")).toBe(tensors);
    expect((row?.bytes ?? NaN) / (row?.count ?? NaN)).toBe(tensors);
  });

  it("knows the vectors of the indexes exactly, and how many there are", () => {
    const index = path.join(run, "index");
    const row = diskRow(foretold, "indexes");
    expect(readdirSync(index)).toHaveLength(row?.count ?? NaN);
    expect(row?.bytes).toBe((row?.count ?? NaN) * foretold.passages * foretold.dimension * 4);
    expect(bytesIn(index)).toBeGreaterThan(row?.bytes ?? Infinity);
    expect(diskRow(foretold, "corpus")?.bytes).toBe(bytesIn(path.join(run, "corpus")));
  });

  it("is within a quarter of the run's folder and of the memory of the process that trained", () => {
    expect(Math.abs(bytesIn(run) / foretold.disk.last - 1)).toBeLessThan(0.25);
    expect(Math.abs(peak / foretold.memory.first - 1)).toBeLessThan(0.25);
  });

  it("adds up, and counts what the run did", () => {
    const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0);
    const { memory, disk, time, limits } = foretold;
    expect(sum(memory.rows.map(({ first }) => first))).toBeCloseTo(memory.first, 3);
    expect(memory.node).toBeCloseTo(memory.first + memory.driver, 3);
    expect(sum(disk.rows.map(({ bytes }) => bytes))).toBeCloseTo(disk.peak, 3);
    expect(sum(time?.rows.map(({ seconds }) => seconds) ?? [])).toBeCloseTo(time?.seconds ?? NaN, 9);
    const count = (name: string): number | undefined => time?.rows.find(({ what }) => what === name)?.count;
    expect([
      count("steps: generator gold"),
      count("steps: contrastive"),
      count("steps: generator retrieved"),
      count("steps: closed-book"),
    ]).toEqual([30, 30, 30, 1]);
    const summary = readFileSync(path.join(run, "validation/summary.jsonl"), "utf8").trim().split("\n");
    expect(count("validation's answers")).toBe(5 * summary.length);
    expect(count("passages embedded")).toBe(readdirSync(path.join(run, "index")).length * foretold.passages);
    expect(limits.map(({ name }) => name)).toEqual(["memory", "JavaScript's heap", "disk"]);
    expect(foretold.is_hit).toBe(false);
  });

  it("shares steps and index out among nodes, and adds what they exchange", () => {
    const [one, two, many] = foretold.nodes;
    expect(foretold.nodes.map(({ workers }) => workers)).toEqual([1, 2, 64]);
    expect([one?.hidden, one?.exposed, one?.speed_up]).toEqual([0, 0, 1]);
    // Validation's questions are one batch, which isn't cut.
    const answers = foretold.time?.rows.find(({ what }) => what === "validation's answers")?.seconds ?? NaN;
    expect(answers).toBeGreaterThan(0);
    expect(two?.shared).toBeCloseTo(((one?.shared ?? NaN) - answers) / 2 + answers, 6);
    expect(many?.hidden).toBeGreaterThan(two?.hidden ?? Infinity);
    for (const row of foretold.nodes) expect(row.seconds).toBeCloseTo(row.steps + row.shared + row.alone + row.hidden, 9);
    expect(foretold.link).toMatchObject({ source: "loop-back" });
  });

  it("says which limit is hit first, and leaves nothing behind", () => {
    const { status, out } = plan("--no-measure", "--memory", "4G", "--disk", "100K", "--passages", "21000000", "--nodes", "1,8");
    expect(status).toBe(0);
    expect(out.trimEnd().split("\n").at(-1)).toMatch(/^Hit first: disk: \d+\.\d GiB of 100\.0 KiB\.$/);
    expect(out).toMatch(/^exact f32 +64 +1\.3 GiB +1\.3 GiB +\d+\.\d MiB +pages of the file$/m);
    expect(out).toMatch(/^ {2}21000000 passages of the length of the 30 that were read, with the same questions$/m);
    expect(readdirSync(temporary)).toEqual([]);
  });

  it("takes the link, the moments' share and the time limit that it is given", () => {
    const given = ["--seconds", "1", "--nodes", "4", "--link", "2", "--latency", "50", "--time", "00:00:01"];
    const { link, limits, nodes, memory, nearest, is_hit: isHit } = made(...given, "train.shard_optimiser=true", "train.workers=2");
    expect(link).toEqual({ bytesPerSecond: 2e9, latency: expect.closeTo(50e-6, 12) as number, source: "given" });
    expect(nodes.map(({ workers }) => workers)).toEqual([8]);
    expect([nearest, isHit]).toEqual(["time", true]);
    expect(limits.at(-1)).toMatchObject({ name: "time", unit: "seconds", limit: 1 });
    const whole = memoryRow(foretold, "moments");
    const shared = memory.rows.find(({ what }) => what === "moments (shared out)")?.first ?? NaN;
    expect(shared).toBeGreaterThanOrEqual(whole / 2);
    expect(shared).toBeLessThan(0.75 * whole);
  });

  it("counts the hard negatives of an entry's own settings, and none that no entry has", () => {
    const unasked = "eval.rows=[trained-pair]";
    const own = (settings: string): string =>
      `train.schedule=[{phase: refresh}, {phase: contrastive, steps: 2, with: ${settings}}, {phase: refresh}]`;
    const mined = made(
      "--seconds",
      "1",
      "train.contrastive.mining.to=5",
      unasked,
      own("{hard_negatives: 1, mining: {source: both, to: 8}}"),
    );
    expect(diskRow(mined, "mined negatives")).toMatchObject({ count: 2, bytes: 2 * 8 * 8 * 20 });
    expect(memoryRow(mined, "BM25")).toBeGreaterThan(0);
    expect(mined.time?.rows.find(({ what }) => what === "passages indexed by BM25")).toMatchObject({ count: 30 });
    expect(mined.left_out).toContain("choosing hard negatives among what was found");
    const asked = ["train.contrastive.hard_negatives=1", "train.contrastive.mining.source=both"];
    const without = made("--seconds", "1", ...asked, unasked, own("{hard_negatives: 0}"));
    expect(diskRow(without, "mined negatives")).toBeUndefined();
    expect(memoryRow(without, "BM25")).toBeNaN();
    expect(without.time?.rows.find(({ what }) => what === "passages indexed by BM25")).toBeUndefined();
    expect(without.left_out.join("\n")).not.toContain("hard negatives");
  });

  it("refuses what it can't read, and what training would refuse", () => {
    const wrong = plan("--memory", "64");
    expect([wrong.status, wrong.error]).toEqual([
      2,
      "tandem plan: --memory: is no size; expected 512M, 64G or 1.5T, in units of 1,024, got 64\n",
    ]);
    const refused = plan("--no-measure", "train.generator.warmup=500");
    expect(refused.status).toBe(2);
    expect(refused.error).toMatch(/warmup/);
    expect(readdirSync(temporary)).toEqual([]);
  });
});

/** Bytes of the tensors in a safetensors file: without its header. */
function tensorBytes(file: string): number {
  const content = readFileSync(file);
  return content.length - 8 - Number(content.readBigUInt64LE(0));
}
