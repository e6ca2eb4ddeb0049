/**
 * Proves that the tiny recipe, run whole by `tandem train`, gives the loss curve it has always given: digit for digit on the machine kind the curve was taken on (libtorch's version, the processor's maker, for
 * whom libtorch's products differ, its instruction set, and one thread), within 1e-4 elsewhere, where rounding differs. A change that moves it on purpose writes it anew with `TANDEM_WRITE_CURVE=1`, and says why.
 * Slow (about 10 s). Alone: npx vitest run test/job/golden-curve.test.ts
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { engineFacts } from "../../src/engine/info.js";
import { compiledTraining } from "./compiled-training.js";
import { ROOT, runFolder } from "./killed-run.js";

interface Curve {
  readonly torch: string;
  readonly maker: string;
  readonly processor: string;
  readonly threads: number;
  /** Step, phase and the figures of each line of metrics.jsonl that no clock decides. */
  readonly lines: Readonly<Record<string, number | string>>[];
}

const FILE = path.join(ROOT, "test/fixtures/tiny-loss-curve.json");
const training = compiledTraining("golden-curve");

/** Loss and loss terms, gradient norms and rates: what the recipe computes. */
function computed(line: Record<string, unknown>): Curve["lines"][number] {
  const isComputed = (name: string): boolean =>
    name === "step" || name === "phase" || /^(loss|term|train|gradient|rate|lr|norm)/.test(name);
  return Object.fromEntries(Object.entries(line).filter(([name]) => isComputed(name))) as Curve["lines"][number];
}

it("the tiny recipe's loss curve is the golden one", async () => {
  const runs = training.runs();
  const { code, stderr } = await training.start(["experiment=tiny", "device=cpu", `run.dir=${runs}`, "--quiet"]).ended;
  expect(code, stderr).toBe(0);
  const lines = readFileSync(path.join(runFolder(runs)!, "metrics.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => computed(JSON.parse(line) as Record<string, unknown>))
    .filter((line) => "loss" in line);
  const { torchVersion: torch, cpuCapability: processor } = engineFacts();
  const maker = /^vendor_id\s*:\s*(\S+)/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "";
  const curve: Curve = { torch, maker, processor, threads: 1, lines };
  if (process.env["TANDEM_WRITE_CURVE"] === "1") writeFileSync(FILE, `${JSON.stringify(curve, null, 2)}\n`);
  const golden = JSON.parse(readFileSync(FILE, "utf8")) as Curve;
  expect(lines).toHaveLength(golden.lines.length);
  // Sixteen steps of the schedule, two of the closed-book generator.
  expect(lines).toHaveLength(18);
  if (golden.torch === torch && golden.maker === maker && golden.processor === processor) {
    expect(curve).toEqual(golden);
    return;
  }
  console.warn(
    `the curve is of torch ${golden.torch} on ${golden.maker} ${golden.processor}, this is torch ${torch} on ${maker} ${processor}: compared within 1e-4`,
  );
  lines.forEach((line, i) => {
    for (const [name, value] of Object.entries(golden.lines[i]!)) {
      if (typeof value === "number")
        expect(Math.abs(Number(line[name]) - value), `${name} of step ${line["step"]}`).toBeLessThanOrEqual(1e-4 * Math.abs(value) + 1e-7);
      else expect(line[name]).toBe(value);
    }
  });
}, 240_000);
