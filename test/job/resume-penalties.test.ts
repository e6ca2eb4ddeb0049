/**
 * Proves that a run whose penalties look at what the model writes, drawn answers and all, equals the uninterrupted one after SIGKILL: in mode straight_through and in mode sequence, beside unlikelihood on sequences, in parts, with
 * dropout, evidence dropped and an unknown answer; and with keywords overlapped and unlikelihood on sequences that were drawn, in all three modes. Needs the compiled program (npm run build). Alone: npx vitest run test/job/resume-penalties.test.ts
 */
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { expectEqualRuns, goesOnInside, killAndResume, lossLines, runFolder, trainFully, wholeRun } from "./killed-run.js";

const words =
  (mode: string) =>
  (runs: string): string[] => [
    "experiment=tiny",
    `run.dir=${runs}`,
    "generator.dropout=0.1",
    "train.checkpoint.every=3",
    "train.schedule=[{phase: generator, steps: 4}, {phase: refresh}, {phase: generator, steps: 6}]",
    "train.generator.accumulate=2",
    "train.generator.drop_gold=0.3",
    "train.generator.unknown_answer=nobody",
    `train.penalties.mode=${mode}`,
    "train.penalties.sampling.answers=3",
    "train.penalties.sampling.temperature=0.5",
    "train.penalties.ngram_repeat.n=1",
    "train.penalties.unlikelihood.weight=0.1",
    "train.penalties.sequence_unlikelihood.weight=0.2",
    "train.penalties.sequence_unlikelihood.n=1",
    "--quiet",
  ];

type Line = { readonly step: number; readonly phase: string; readonly penalties?: string } & Readonly<Record<string, number | string>>;

describe("a run whose penalties look at what the model writes", () => {
  it.each(["straight_through", "sequence"])(
    "%s: equals the uninterrupted one after two kills",
    async (mode) => {
      const runs = mkdtempSync(path.join(tmpdir(), "tandem-whole-"));
      const result = await trainFully(words(mode)(runs));
      expect(result.code, result.stderr).toBe(0);
      const whole = runFolder(runs) ?? "";
      const lines = readFileSync(path.join(whole, "metrics.jsonl"), "utf8").trimEnd().split("\n");
      const records = lines.map((line) => JSON.parse(line) as Line).filter(({ phase }) => phase === "generator");
      expect(records).toHaveLength(10);
      for (const record of records) {
        expect(record.penalties).toBe(mode);
        for (const term of ["ngram_repeat", "keyword_coverage", "short_answer", "unlikelihood", "sequence_unlikelihood"])
          expect(record[`loss/${term}`], term).toBeGreaterThanOrEqual(0);
        expect(record["loss/drawn_tokens"]).toBeGreaterThanOrEqual(1);
        expect(record["loss/drawn_tokens"]).toBeLessThanOrEqual(8);
      }
      // Weights change, and with them what is drawn.
      expect(new Set(records.map((record) => record["loss/ngram_repeat"])).size).toBeGreaterThan(1);
      expect(readFileSync(path.join(whole, "audit.txt"), "utf8")).toContain(`generator/ngram_repeat (${mode})`);
      const { run, killed } = await killAndResume(words(mode), 2, (folder, kill) => {
        const file = path.join(folder, "metrics.jsonl");
        return existsSync(file) && readFileSync(file, "utf8").split("\n").length - 1 >= 2 + 5 * kill;
      });
      expect(killed).toBe(2);
      expectEqualRuns(run, whole);
    },
    300_000,
  );

  it("with keywords overlapped and drawn answers made unlikely: equals the uninterrupted one after three kills, one inside each mode", async () => {
    const modes = ["teacher_forced", "straight_through", "sequence"];
    const steps = [6, 6, 10];
    const phases = modes.map((mode, i) => `{phase: generator, steps: ${steps[i]}, contexts: gold, with: {penalties: {mode: ${mode}}}}`);
    const start = (runs: string): string[] => [
      ...words("sequence")(runs),
      `train.schedule=[${phases.join(", ")}]`,
      "train.penalties.keyword.direction=overlap",
      "train.penalties.keyword.source=evidence",
      "train.penalties.sequence_unlikelihood.decoding=sampled",
      "train.validate.after_each_phase=false",
      "eval.rows=[closed-book, trained-pair]",
      "eval.limit=4",
    ];
    const whole = await wholeRun(start);
    const lines = lossLines(whole).filter(({ phase }) => phase === "generator");
    expect(lines.map(({ penalties }) => penalties)).toEqual(modes.flatMap((mode, i) => Array<string>(steps[i]!).fill(mode)));
    for (const line of lines) {
      for (const term of ["ngram_repeat", "keyword_overlap", "short_answer", "unlikelihood", "sequence_unlikelihood"])
        expect(line[`loss/${term}`], term).toBeGreaterThanOrEqual(0);
      // Drawn in mode teacher_forced too, for the sequences' sake.
      expect(line["loss/drawn_tokens"]).toBeGreaterThanOrEqual(1);
    }
    expect(new Set(lines.map((line) => line["loss/sequence_unlikelihood"])).size).toBeGreaterThan(6);
    const { run, killed } = await killAndResume(start, 3, (folder, kill) => goesOnInside(folder, [3, 9, 15][kill]!, [6, 12, 22]));
    expect(killed).toBe(3);
    expectEqualRuns(run, whole);
  }, 300_000);
});
