/**
 * Proves that a phase in which the reader teaches says how many questions have fewer found passages than it chooses among and so are left out: once, as the phase begins, and not where all have enough.
 * Alone: npx vitest run test/job/few-passages.test.ts
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { renderYaml } from "../../src/config/render.js";
import { setThreads } from "../../src/engine/info.js";
import type { JobMessage } from "../../src/job/reporter.js";
import { trainJob } from "../../src/job/train-job.js";
import { createRunDirectory } from "../../src/tracking/run-directory.js";
import { collectVersions } from "../../src/tracking/versions.js";
import { namesIn } from "../storage/bad-input.js";
import { makeFiles, tinyWords } from "./trained-run.js";

setThreads(1);
const folder = makeFiles();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const WORDS = [
  // Refresh 1, reader 2 and 3, refresh 4, joint 5.
  "train.schedule=[{phase: refresh}, {phase: reader-distillation, steps: 2, with: {passages: 3}}, {phase: refresh}, {phase: joint, steps: 1}]",
  "train.reader.batch=4",
  "train.reader.passages=2",
  "train.reader.lr=1e-2",
  "prompt.passages=2",
  "eval.rows=[closed-book, trained-pair]",
];

describe("questions with fewer passages than the reader chooses among", () => {
  it("are counted in a warning as the phase begins, once, and in no phase that has none", async () => {
    const { config, overrides } = loadConfig({ overrides: [...tinyWords(folder), ...WORDS] });
    const start = new Date("2026-01-02T03:04:05Z");
    const about = { name: config.name, configYaml: renderYaml(config), overrides, versions: collectVersions(), start };
    const { path: run } = createRunDirectory(config.run.dir, about);
    const said: JobMessage[] = [];
    const train = (stopRequested: () => boolean): ReturnType<typeof trainJob> =>
      trainJob({ config, run, report: (message) => said.push(message), stopRequested, unsaved: () => undefined });
    let asked = 0;
    expect(await train(() => asked++ > 0)).toBe("stopped");
    // As an index leaves it that found fewer for some: −1 behind a question's last.
    const retrieval = path.join(run, "retrieval");
    const [name = ""] = namesIn(retrieval);
    for (const question of [2, 11, 19]) keepTwo(path.join(retrieval, name, "rows.npy"), question);
    expect(await train(() => false)).toBe("finished");
    const warnings = said.flatMap((message) => (message.type === "warning" ? [message.text] : []));
    expect(warnings.filter((text) => text.includes("fewer than"))).toEqual([
      "train.schedule.1: 3 of 20 questions have fewer than 3 passages (train.reader.passages) in what the index found; the phase leaves them out",
    ]);
  }, 120_000);
});

/** Leaves a question its first two rows in an `.npy` of int32 (20, K). */
function keepTwo(file: string, question: number): void {
  const bytes = readFileSync(file);
  const header = 10 + bytes.readUInt16LE(8);
  const k = (bytes.length - header) / (4 * 20);
  expect(k).toBeGreaterThan(2);
  for (let place = 2; place < k; place++) bytes.writeInt32LE(-1, header + 4 * (question * k + place));
  writeFileSync(file, bytes);
}
