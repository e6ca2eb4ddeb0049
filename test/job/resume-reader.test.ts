/**
 * Proves that a run whose reader teaches its retriever, by each of the four losses, re-ranked, in parts and with dropout, equals the uninterrupted one after SIGKILL in those phases.
 * Needs the compiled program (npm run build). Alone: npx vitest run test/job/resume-reader.test.ts
 */
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { expectEqualRuns, killAndResume, runFolder, trainFully } from "./killed-run.js";

const SCHEDULE = "[{phase: refresh}, {phase: reader-distillation, steps: 4}, {phase: refresh}, {phase: joint, steps: 4}, {phase: refresh}]";

const words =
  (loss: string) =>
  (runs: string): string[] => [
    "experiment=tiny",
    `run.dir=${runs}`,
    "generator.dropout=0.1",
    "retriever.dropout=0.1",
    "train.checkpoint.every=3",
    `train.schedule=${SCHEDULE}`,
    "train.reader.batch=4",
    "train.reader.passages=3",
    "train.reader.candidates=6",
    "train.reader.accumulate=2",
    "train.reader.lr=1e-3",
    `train.reader.loss=${loss}`,
    "--quiet",
  ];

interface Line {
  readonly step: number;
  readonly phase: string;
  readonly loss: number;
}

describe("a run in which the reader teaches", () => {
  it.each(["pdist", "emdr2", "rag_sequence", "rag_token"])(
    "%s: equals the uninterrupted one after two kills, one in each phase",
    async (loss) => {
      const runs = mkdtempSync(path.join(tmpdir(), "tandem-whole-"));
      const result = await trainFully(words(loss)(runs));
      expect(result.code, result.stderr).toBe(0);
      const whole = runFolder(runs) ?? "";
      const lines = readFileSync(path.join(whole, "metrics.jsonl"), "utf8").trimEnd().split("\n");
      const records = lines.map((line) => JSON.parse(line) as Line & Record<string, number>).filter(({ phase }) => phase !== "closed-book");
      expect(records.map(({ phase }) => phase)).toEqual([
        ...Array<string>(4).fill("reader-distillation"),
        ...Array<string>(4).fill("joint"),
      ]);
      for (const record of records) expect(record[`loss/${loss}`]).toBeGreaterThanOrEqual(0);
      // The generator has a rate and a norm of its own in a joint phase.
      for (const record of records.slice(4)) expect(record["gradient_norm/generator"]).toBeGreaterThan(0);
      const { run, killed } = await killAndResume(words(loss), 2, (folder, kill) => {
        const file = path.join(folder, "metrics.jsonl");
        return existsSync(file) && readFileSync(file, "utf8").split("\n").length - 1 >= 2 + 4 * kill;
      });
      expect(killed).toBe(2);
      expectEqualRuns(run, whole);
    },
    300_000,
  );
});
