/**
 * Proves `tandem runs test`: the differences, intervals and p-values of two settings' runs are those of the questions' means over seeds; runs of other questions, unfinished runs, damaged answers and unknown metrics are refused by name.
 * Alone: npx vitest run test/cli/runs-test.test.ts
 */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { command } from "../../src/cli/runs.js";
import { scoreAnswer, type Answered } from "../../src/evaluation/answered.js";
import { clusteredInterval } from "../../src/evaluation/bootstrap.js";
import { compareRows, compareSystems } from "../../src/evaluation/compare-rows.js";
import { pairedPermutation } from "../../src/evaluation/paired-permutation.js";
import type { RunsTest } from "../../src/evaluation/test-runs.js";
import { answersJsonLines } from "../../src/report/validation-answers.js";
import { faultOf } from "../job/fault-of.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { CONFIG, makeRun } from "../tracking/made-run.js";
import { captured } from "./captured.js";

const scratch = temporaryFolder();
const QUESTIONS = 24;

/** Answers of which `right(i)` says whether question i's gold passage was found first and the answer given. */
function answeredBy(right: (question: number) => boolean): Answered[] {
  return Array.from({ length: QUESTIONS }, (_, i) =>
    scoreAnswer(
      { id: `q${i}`, question: "Who?", answers: ["Ida Renhan"], passageIds: ["gold"], document: `d${i % 6}` },
      right(i) ? "Ida Renhan" : "Ida",
      [],
      right(i) ? ["gold", "p"] : ["p", "gold"],
      [1, 2],
    ),
  );
}

function runWith(text: string | undefined): string {
  const run = makeRun(mkdtempSync(path.join(scratch, "run-")), { steps: 1, config: CONFIG });
  mkdirSync(run.validation, { recursive: true });
  if (text !== undefined) writeFileSync(path.join(run.validation, "final.jsonl"), text);
  return run.path;
}

const call = (...words: string[]): Promise<{ out: string; error: string }> => captured(command, ["runs", "test", ...words]);

const better = [answeredBy((i) => i % 2 === 0), answeredBy((i) => i % 3 !== 0)];
const worse = [answeredBy((i) => i % 6 === 1), answeredBy(() => false)];

describe("tandem runs test", () => {
  it("tests the questions' means over the seeds of each setting", async () => {
    const [a, b, c, d] = [...better, ...worse].map((answered) => runWith(answersJsonLines(answered))) as [string, string, string, string];
    const { out } = await call(a, b, "--against", c, d, "--samples", "500", "--json");
    const { comparison, runs, against } = JSON.parse(out) as RunsTest;
    expect([runs, against]).toEqual([
      [a, b],
      [c, d],
    ]);
    const differences = Array.from({ length: QUESTIONS }, (_, i) => {
      const of = (side: readonly Answered[][]): number => side.reduce((sum, run) => sum + (run[i]?.retrieval?.recall["1"] ?? NaN), 0) / 2;
      return of(better) - of(worse);
    });
    const documents = Array.from({ length: QUESTIONS }, (_, i) => `d${i % 6}`);
    const { mean, low, high } = clusteredInterval(differences, documents, { resamples: 500, level: 0.95 });
    expect(comparison["recall@1"]).toEqual({
      difference: mean,
      interval: [low, high],
      questions: QUESTIONS,
      ...pairedPermutation(differences, documents, { permutations: 500 }),
    });
    const text = (await call(a, "--against", c, "--metric", "em", "--metric", "recall@1")).out;
    expect(text).toMatch(/\n +difference +95 % interval +p +questions +documents +that differ\n/);
    expect(text).toMatch(/\nrecall@1 +\+0\.3333 +-0\.\d{4} to \+0\.\d{4} +0\.\d{4} +24 +6 +[1-6]\n/);
    expect(text).not.toContain("rouge_l");
  });

  it("takes another system's figures from a file of lines, and compares what both sides have", async () => {
    const run = runWith(answersJsonLines(better[0] ?? []));
    const lines = (worse[0] ?? []).map(({ id, document, retrieval }) => JSON.stringify({ id, document, retrieval }));
    const file = path.join(scratch, "peer.jsonl");
    writeFileSync(file, `${lines.join("\n")}\n`);
    const { comparison } = JSON.parse((await call(run, "--against", file, "--json", "--samples", "200")).out) as RunsTest;
    expect(Object.keys(comparison)).toEqual(["mrr", "recall@1", "recall@2", "ndcg@1", "ndcg@2"]);
    expect(comparison["recall@1"]?.difference).toBeCloseTo(12 / 24 - 4 / 24, 12);
    writeFileSync(file, '{"id":"q0","document":"d","em":"1"}\n');
    expect(await faultOf(() => call(run, "--against", file))).toMatch(/peer\.jsonl:1: 'em' is missing or of another kind/);
  });

  it("refuses what can't be paired", async () => {
    const whole = runWith(answersJsonLines(better[0] ?? []));
    const other = runWith(answersJsonLines((better[0] ?? []).slice(1)));
    expect(await faultOf(() => call(whole, "--against", other))).toMatch(
      /answered other questions; expected the 24 questions of .*, got 23 questions/,
    );
    const unfinished = runWith(undefined);
    expect(await faultOf(() => call(whole, "--against", unfinished))).toBe(
      `${unfinished}: the run hasn't finished; expected validation/final.jsonl, which a run writes at its end; wait for it, or go on with it where it was stopped: tandem train --resume ${unfinished}`,
    );
    expect(await faultOf(() => call(whole, "--against", runWith("")))).toMatch(/holds no answers/);
    expect(await faultOf(() => call(whole, "--against", whole, "--metric", "speed"))).toMatch(
      /--metric: no such figure; expected one of em, f1/,
    );
    expect(await faultOf(() => call(whole, "--against", whole, "--samples", "1"))).toMatch(/--samples: is out of range/);
  });

  it("names the splits of runs that were scored on different ones", async () => {
    const scoredOn = (split: string, ids: string): string => {
      const run = runWith(answersJsonLines((better[0] ?? []).map((one) => ({ ...one, id: `${ids}${one.id}` }))));
      writeFileSync(path.join(run, "report.json"), JSON.stringify({ split }));
      return run;
    };
    const test = scoredOn("test", "");
    expect(await faultOf(() => call(test, "--against", scoredOn("valid", "v")))).toContain(
      `answered other questions; expected the 24 test questions of ${test}, in their order, got 24 valid questions; score it`,
    );
    expect(await faultOf(() => call(test, "--against", scoredOn("test", "o")))).toContain("got 24 test questions, other ones; score it");
  });

  it.each([
    ["{", /final\.jsonl:1: is not JSON/],
    ["[]", /final\.jsonl:1: .*expected a JSON object, got an array/],
    ['{"id":"q0","document":"d"}', /final\.jsonl:1: 'em' is missing/],
    [
      '{"id":"q0","document":"d","em":1,"f1":1,"rougeL":1,"answerInContext":1,"retrieval":3}',
      /final\.jsonl:1, retrieval: .*expected a JSON object, got a number/,
    ],
  ])("refuses answers like %s", async (text, reason) => {
    const run = runWith(`${text}\n`);
    expect(await faultOf(() => call(run, "--against", run))).toMatch(reason);
  });
});

describe("compareSystems", () => {
  const options = { recallKs: [1], samples: 100, confidence: 0.95, permutations: 100 };

  it("of one run each is compareRows, and of a system with itself finds nothing", () => {
    expect(compareSystems([better[0]!], [worse[0]!], options)).toEqual(compareRows(better[0]!, worse[0]!, options));
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.boolean(), { minLength: QUESTIONS, maxLength: QUESTIONS }), { minLength: 1, maxLength: 3 }),
        (seeds) => {
          const runs = seeds.map((right) => answeredBy((i) => right[i] === true));
          for (const { difference, p } of Object.values(compareSystems(runs, runs, options))) expect([difference, p]).toEqual([0, 1]);
        },
      ),
      { numRuns: 10 },
    );
  });

  it("needs a run on each side", () => {
    expect(() => compareSystems([], [worse[0]!], options)).toThrow("without runs");
    expect(() => compareSystems([worse[0]!], [], options)).toThrow("without runs");
  });
});
