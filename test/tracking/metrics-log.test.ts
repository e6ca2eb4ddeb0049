/**
 * Proves that metrics are appended with all their digits, that half a line does no harm, and that after a resumption no step stands twice.
 * Alone: npx vitest run test/tracking/metrics-log.test.ts
 */
import { spawn, spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cutBackMetrics, type MetricsRecord, openMetricsLog, readMetrics } from "../../src/tracking/metrics-log.js";
import { faultOf, namesIn, temporaryFolder } from "../storage/bad-input.js";

const scratch = temporaryFolder();
const module_ = resolve(import.meta.dirname, "../../src/tracking/metrics-log.ts");
const fresh = (): string => join(mkdtempSync(join(scratch, "case-")), "metrics.jsonl");
const steps = (path: string): number[] => [...readMetrics(path)].map(({ step }) => step);
const record = (step: number, loss = step / 3): MetricsRecord => ({ step, phase: "generator", loss });

function logOf(path: string, ...numbers: number[]): string {
  const log = openMetricsLog(path);
  for (const step of numbers) log.append(record(step));
  log.close();
  return path;
}

describe("a metrics log", () => {
  it("keeps every digit of every number, those that JSON has no word for too", () => {
    const value = fc.oneof(
      fc.double(),
      fc.boolean(),
      fc.constant(null),
      fc.string({ unit: "grapheme" }).map((text) => `_${text}`),
    );
    fc.assert(
      fc.property(
        fc.array(fc.dictionary(fc.stringMatching(/^[a-z_/]{1,12}$/), value, { noNullPrototype: true }), { maxLength: 6 }),
        (terms) => {
          const path = fresh();
          const log = openMetricsLog(path);
          const records = terms.map((term, step): MetricsRecord => ({ ...term, step: step * 2, phase: "contrastive" }));
          for (const each of records) log.append(each);
          expect(log.lastStep).toBe(records.length * 2 - (records.length === 0 ? 1 : 2));
          log.close();
          // JSON knows no negative zero; nobody's loss does either.
          const positive = (each: MetricsRecord): object =>
            Object.fromEntries(Object.entries(each).map(([name, entry]) => [name, entry === 0 ? 0 : entry]));
          expect([...readMetrics(path)].map(positive)).toEqual(records.map(positive));
          expect(readFileSync(path, "utf8").split("\n")).toHaveLength(records.length + 1);
        },
      ),
      { numRuns: 50 },
    );
    const path = fresh();
    const log = openMetricsLog(path);
    log.append({ step: 1, phase: "generator", loss: Number.NaN, gradient: Number.POSITIVE_INFINITY, low: Number.NEGATIVE_INFINITY });
    log.sync();
    log.close();
    expect(readFileSync(path, "utf8")).toBe('{"step":1,"phase":"generator","loss":"NaN","gradient":"Infinity","low":"-Infinity"}\n');
  });

  it("goes on where it ended, and takes no step twice", () => {
    const path = logOf(fresh(), 1, 2);
    const log = openMetricsLog(path);
    expect(log.lastStep).toBe(2);
    for (const step of [2, 1, 0, -1, 2.5, Number.NaN]) expect(() => log.append(record(step))).toThrow(/can't follow step 2/);
    log.append(record(10));
    log.close();
    expect(steps(path)).toEqual([1, 2, 10]);
    expect(() => log.append(record(11))).toThrow();
  });

  it("is there for a reader as soon as append returns, and survives the writer's death", async () => {
    const path = fresh();
    const script = `import { openMetricsLog } from ${JSON.stringify(module_)};
      const log = openMetricsLog(process.argv[1]);
      for (let step = 0; step < 20000; step++) { log.append({ step, phase: "generator", loss: 1 / step, text: "x".repeat(500) }); if (step % 50 === 0) console.log(step); }
      setTimeout(() => undefined, 60_000);`;
    const writer = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script, path], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let said = -1;
    await new Promise<void>((enough) => {
      writer.stdout.on("data", (text: Buffer) => {
        said = Number(text.toString().trim().split("\n").at(-1));
        if (said >= 200) enough();
      });
    });
    const gone = new Promise((ended) => writer.once("exit", ended));
    try {
      expect(steps(path).at(-1)).toBeGreaterThanOrEqual(200);
    } finally {
      writer.kill("SIGKILL");
      await gone;
    }
    const left = steps(path);
    expect(left.at(-1)).toBeGreaterThanOrEqual(said);
    expect(left).toEqual(left.map((_, step) => step));
  });
});

describe("half a last line", () => {
  it("is passed over by a reader and dropped at the next opening, wherever it was cut", () => {
    const whole = readFileSync(logOf(fresh(), 1, 2), "utf8");
    const line = Buffer.from('{"step":3,"phase":"générateur","loss":1}\n');
    for (let length = 1; length < line.length - 1; length++) {
      const path = fresh();
      writeFileSync(path, Buffer.concat([Buffer.from(whole), line.subarray(0, length)]));
      expect(steps(path)).toEqual([1, 2]);
      const log = openMetricsLog(path);
      expect(log.lastStep).toBe(2);
      log.append(record(3));
      log.close();
      expect(steps(path)).toEqual([1, 2, 3]);
    }
  });

  it("that lacks nothing but its end is kept", () => {
    const path = fresh();
    writeFileSync(path, '{"step":3,"phase":"generator"}');
    logOf(path, 4);
    expect(readFileSync(path, "utf8")).toBe(`{"step":3,"phase":"generator"}\n${JSON.stringify(record(4))}\n`);
  });

  it("of zeros, as a power cut leaves them, is dropped too", () => {
    const path = logOf(fresh(), 1);
    appendFileSync(path, new Uint8Array(5000));
    expect(steps(logOf(path, 2))).toEqual([1, 2]);
  });

  it("alone in a file leaves an empty log", () => {
    const path = fresh();
    writeFileSync(path, '{"ste');
    expect(steps(path)).toEqual([]);
    expect(openMetricsLog(path).lastStep).toBe(-1);
    expect(readFileSync(path, "utf8")).toBe("");
  });
});

describe("a resumption", () => {
  it("cuts back to the checkpoint's step and goes on, so that no step stands twice", () => {
    const path = logOf(fresh(), 1, 2, 3, 4, 5);
    const before = readFileSync(path, "utf8").split("\n");
    const log = openMetricsLog(path, { after: 3 });
    expect(log.lastStep).toBe(3);
    log.append(record(4, 0.25));
    log.close();
    expect(readFileSync(path, "utf8").split("\n")).toEqual([...before.slice(0, 3), JSON.stringify(record(4, 0.25)), ""]);
    expect(namesIn(join(path, ".."))).toEqual(["metrics.jsonl"]);
  });

  it("leaves the first lines byte for byte, for any steps and any cut", () => {
    const increasing = fc.uniqueArray(fc.nat(50), { maxLength: 12 }).map((numbers) => numbers.sort((left, right) => left - right));
    fc.assert(
      fc.property(increasing, fc.integer({ min: -1, max: 51 }), fc.string(), (numbers, step, tail) => {
        const path = logOf(fresh(), ...numbers);
        const whole = readFileSync(path, "utf8").split("\n").slice(0, -1);
        appendFileSync(path, tail.replaceAll("\n", " ").replaceAll("}", ""));
        const kept = numbers.filter((number) => number <= step);
        expect(cutBackMetrics(path, step)).toEqual({ lastStep: kept.at(-1) ?? -1, removed: numbers.length - kept.length });
        expect(readFileSync(path, "utf8")).toBe(
          whole
            .slice(0, kept.length)
            .map((line) => `${line}\n`)
            .join(""),
        );
      }),
      { numRuns: 60 },
    );
  });

  it("does not touch a file from which nothing goes, nor make one", () => {
    const path = logOf(fresh(), 1, 2);
    const before = statSync(path).ino;
    expect(cutBackMetrics(path, 2)).toEqual({ lastStep: 2, removed: 0 });
    expect(statSync(path).ino).toBe(before);
    const none = fresh();
    expect(cutBackMetrics(none, 0)).toEqual({ lastStep: -1, removed: 0 });
    expect(namesIn(join(none, ".."))).toEqual([]);
    openMetricsLog(none, { after: 7 }).close();
    expect(readFileSync(none, "utf8")).toBe("");
  });
});

describe("a broken log", () => {
  const broken = (...lines: string[]): string => {
    const path = fresh();
    writeFileSync(path, lines.map((line) => `${line}\n`).join(""));
    return path;
  };
  const good = '{"step":1,"phase":"generator"}';

  it("is refused with file and line, and left as it is", () => {
    for (const line of [
      "{",
      "3",
      "[]",
      "{}",
      '{"step":"2","phase":"x"}',
      '{"step":2}',
      '{"step":-1,"phase":"x"}',
      '{"step":1.5,"phase":"x"}',
      "\0",
    ]) {
      const path = broken(good, line, '{"step":3,"phase":"generator"}');
      const before = readFileSync(path, "utf8");
      expect(faultOf(() => openMetricsLog(path, { after: 1 }))).toContain("metrics.jsonl:2");
      expect(faultOf(() => steps(path))).toContain("metrics.jsonl:2");
      expect(readFileSync(path, "utf8")).toBe(before);
      expect(namesIn(join(path, ".."))).toEqual(["metrics.jsonl"]);
    }
    // The same line at the end, with its line feed, was written as a whole and is no half line.
    expect(faultOf(() => openMetricsLog(broken(good, "{")))).toContain("metrics.jsonl:2");
    expect(faultOf(() => openMetricsLog(broken(good, good)))).toContain("metrics.jsonl:2: step 1 stands after step 1");
  });

  it("or none at all is refused", () => {
    const path = fresh();
    expect(faultOf(() => steps(path))).toContain("no such file");
    mkdirSync(path);
    expect(faultOf(() => openMetricsLog(path))).toContain("is a folder");
    expect(faultOf(() => openMetricsLog(join(scratch, "none/metrics.jsonl")))).toContain("no such file or folder");
  });

  it("is not begun on a device", () => {
    expect(faultOf(() => openMetricsLog("/dev/full"))).toContain("/dev/full: is not a regular file");
  });
});

describe("a full disk", () => {
  it("costs the line that doesn't fit, and no half of it stays", () => {
    const path = logOf(fresh(), 0);
    const script = `import { openMetricsLog } from ${JSON.stringify(module_)};
      const log = openMetricsLog(process.argv[1]);
      try { for (let step = 1; ; step++) log.append({ step, phase: "generator", text: "x".repeat(300) }); }
      catch (error) { console.log(log.lastStep, error.name + ": " + error.message); }`;
    const words = [process.execPath, "--import", "tsx", "--input-type=module", "-e", script, path];
    const { stdout, stderr } = spawnSync("bash", ["-c", 'ulimit -f 16; exec "$0" "$@"', ...words], { encoding: "utf8" });
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^\d+ UserError: .*metrics\.jsonl: the file would pass the size limit \(ulimit -f\); raise the limit\n$/);
    expect(statSync(path).size).toBeGreaterThan(15 * 1024);
    expect(readFileSync(path, "utf8").endsWith("}\n")).toBe(true);
    expect(steps(path).at(-1)).toBe(Number.parseInt(stdout, 10));
  });
});
