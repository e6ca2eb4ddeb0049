/**
 * Proves that a run audits, logs and probes what each entry of its schedule really trains: with the entry's own contexts, penalties and mode, copying and closed-book phases included, under the entry's number; that a
 * weighted term which had nothing to do is warned about once, with its entry; and that the probe follows penalties that stand in `with` alone, in joint phases too.
 * Alone: npx vitest run test/job/audited-entries.test.ts
 */
import { readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JobMessage } from "../../src/job/reporter.js";
import { makeFiles, trainTiny } from "./trained-run.js";

type Line = { readonly step: number; readonly phase: string; readonly penalties?: string } & Readonly<Record<string, number | string>>;

let folder = "";
beforeAll(() => {
  folder = makeFiles();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let second = 0;

/** A run with what it wrote and said. */
async function trained(...words: string[]): Promise<{ audit: string; lines: Line[]; warnings: string[] }> {
  const said: JobMessage[] = [];
  const start = new Date(Date.UTC(2026, 0, 4, 5, 6, second++));
  const run = await trainTiny(folder, start, ["train.audit.every=1", "train.reader.passages=2", "train.reader.batch=2", ...words], said);
  return {
    audit: readFileSync(path.join(run, "audit.txt"), "utf8"),
    lines: readFileSync(path.join(run, "metrics.jsonl"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Line),
    warnings: said.flatMap((message) => (message.type === "warning" ? [message.text] : [])),
  };
}

/** Names behind `probe/gradient/`. */
const probedTerms = (line: Line | undefined): string[] =>
  Object.keys(line ?? {}).flatMap((name) => (name.startsWith("probe/gradient/") ? [name.slice("probe/gradient/".length)] : []));

describe("a schedule whose entries differ", () => {
  const SCHEDULE = `train.schedule=[${[
    "{phase: generator, steps: 1, contexts: copying}",
    "{phase: generator, steps: 1}",
    "{phase: generator, steps: 1, contexts: gold, with: {penalties: {mode: sequence, sampling: {answers: 2}}}}",
    "{phase: contrastive, steps: 1}",
    "{phase: refresh}",
    "{phase: generator, steps: 1}",
    "{phase: generator, steps: 1}",
    "{phase: joint, steps: 1}",
    "{phase: refresh}",
  ].join(", ")}]`;
  let run: Awaited<ReturnType<typeof trained>>;
  beforeAll(async () => {
    run = await trained(SCHEDULE);
  }, 120_000);

  it("is audited entry by entry, alike ones together, the closed-book generator's at its end", () => {
    const heads = run.audit.split("\n").filter((line) => /tensors have a gradient/.test(line));
    const termsOf = (entries: string): string[] =>
      heads.flatMap((line) => (line.includes(`, ${entries}: `) ? [line.slice(0, line.indexOf(`, ${entries}: `))] : []));
    const penalised = (phase: string, mode: string): string[] =>
      ["ngram_repeat", "keyword_coverage", "short_answer"].map((term) => `${phase}/${term} (${mode})`);
    expect(termsOf("entry 0")).toEqual(["generator/answer"]);
    expect(termsOf("entry 1")).toEqual(["generator/answer", ...penalised("generator", "teacher_forced")]);
    expect(termsOf("entry 2")).toEqual(["generator/answer", ...penalised("generator", "sequence")]);
    expect(termsOf("entry 3")).toEqual(["contrastive/contrastive"]);
    expect(termsOf("entries 5 and 6")).toEqual(["generator/answer", ...penalised("generator", "teacher_forced")]);
    expect(termsOf("entry 7")).toEqual(["joint/pdist", "joint/answer", ...penalised("joint", "teacher_forced")]);
    expect(termsOf("entry 9")).toEqual(["closed-book/answer"]);
    expect(heads).toHaveLength(20);
    expect(heads.filter((line) => line.startsWith("generator/answer"))).toEqual(
      heads.filter((line) => /^generator\/answer, entr(y|ies) [^:]*: (\d+) of \2 tensors/.test(line)),
    );
  });

  it("warns once, by term and entry, of a weighted term that had nothing to do in any audited batch", () => {
    const silent = run.warnings.filter((text) => text.startsWith("gradient audit: "));
    expect(silent.length).toBeGreaterThan(0);
    expect(new Set(silent).size).toBe(silent.length);
    expect(silent.join("\n")).toMatch(
      /^gradient audit: generator\/ngram_repeat \(sequence\), entry 2: inactive in all 2 audited batches: all answers to a question that were drawn cost the same; /m,
    );
    expect(run.audit).toMatch(
      /^generator\/ngram_repeat \(sequence\), entry 2: 0 of \d+ tensors have a gradient\n {2}inactive: all answers to a question that were drawn cost the same/m,
    );
    // Where every penalty has a gradient, nothing is said.
    const alive = /^generator\/short_answer \(teacher_forced\), entry 1: (\d+) of \1 /m;
    expect(run.audit).toMatch(alive);
    expect(silent.join("\n")).not.toMatch(/short_answer \(teacher_forced\)/);
  });

  it("logs the mode that each entry's penalties have, and none where there are none", () => {
    const modes = run.lines.map(({ step, penalties }) => [step, penalties]);
    expect(Object.fromEntries(modes)).toMatchObject({ 2: "teacher_forced", 3: "sequence", 6: "teacher_forced", 8: "teacher_forced" });
    expect(run.lines.filter(({ step }) => [1, 4, 10].includes(step)).every((line) => !("penalties" in line))).toBe(true);
  });

  it("is probed by each entry's own penalties: none while it copies, those of a joint phase too", () => {
    const at = (step: number): Line | undefined => run.lines.find((line) => line.step === step);
    const all = ["ngram_repeat", "keyword_coverage", "short_answer"];
    expect(at(1)).toHaveProperty("probe/length/generated");
    expect(probedTerms(at(1))).toEqual([]);
    expect(probedTerms(at(2))).toEqual(all);
    expect(probedTerms(at(3))).toEqual(all);
    expect(at(4)).not.toHaveProperty("probe/length/generated");
    expect(probedTerms(at(6))).toEqual(all);
    expect(at(8)?.phase).toBe("joint");
    expect(probedTerms(at(8))).toEqual(all);
    // The batch is one and the same at every probe.
    const gold = [1, 2, 3, 6, 7, 8].map((step) => at(step)?.["probe/length/gold"]);
    expect(new Set(gold).size).toBe(1);
  });
});

describe("penalties that stand in an entry alone", () => {
  const OFF = ["ngram_repeat", "keyword", "short_answer"].map((name) => `train.penalties.${name}.weight=0`);

  it("are probed there, and sound the alarm there", async () => {
    const { lines, warnings } = await trained(
      "train.schedule=[{phase: generator, steps: 2}, {phase: generator, steps: 2, contexts: gold, with: {penalties: {ngram_repeat: {n: 1, weight: 1e9}}}}]",
      ...OFF,
    );
    expect(lines.filter(({ phase }) => phase === "generator").map(probedTerms)).toEqual([[], [], ["ngram_repeat"], ["ngram_repeat"]]);
    const alarms = warnings.filter((text) => text.includes("times answer's; lower its weight"));
    expect(alarms).toEqual([expect.stringMatching(/^train\.schedule\.1: penalty ngram_repeat: its gradient is /) as string]);
  }, 120_000);

  it("of a joint phase too; one that a single likelihood trains has none", async () => {
    const schedule = (settings: string): string =>
      `train.schedule=[{phase: refresh}, {phase: joint, steps: 1, with: ${settings}}, {phase: refresh}]`;
    const { lines } = await trained(schedule("{penalties: {unlikelihood: {weight: 0.5}}}"), ...OFF);
    expect(probedTerms(lines.find(({ phase }) => phase === "joint"))).toEqual(["unlikelihood"]);
    const rag = await trained(schedule("{loss: rag_token}"));
    expect(rag.audit).toMatch(/^joint\/rag_token, entry 1: /m);
    expect(rag.audit).not.toMatch(/ngram_repeat/);
    const joint = rag.lines.find(({ phase }) => phase === "joint");
    expect(joint).toHaveProperty("probe/length/generated");
    expect(probedTerms(joint)).toEqual([]);
  }, 120_000);
});
