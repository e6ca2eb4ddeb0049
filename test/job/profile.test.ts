/**
 * Proves `tandem train --profile`: the trace keeps the Trace Event Format's rules (complete events, whole numbers of process and thread, events of a row inside each other), libtorch's operators lie inside the
 * steps that ran them, three steps of each kind of phase have them, the numbers of the run don't change, a trace that was cut off by SIGKILL is readable up to there, and of two workers each has its own, which shows that both judge mined negatives and answer validation's questions. Real processes; needs the compiled program. Alone: npx vitest run test/job/profile.test.ts
 */
import { mkdtempSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { crossEncoderFolder } from "../nn/model-folder.js";
import { lossLines, runFolder, trainAndKill, trainFully } from "./killed-run.js";

interface Event {
  readonly name: string;
  readonly ph: string;
  readonly cat?: string;
  readonly ts: number;
  readonly dur: number;
  readonly pid: number;
  readonly tid: number;
  readonly args?: { readonly name: string };
}

const scratch = mkdtempSync(path.join(tmpdir(), "tandem-profile-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const words = (runs: string): string[] => ["experiment=tiny", "eval.rows=[trained-pair]", `run.dir=${path.join(scratch, runs)}`, "--quiet"];
const runIn = (runs: string): string => runFolder(path.join(scratch, runs)) ?? "";
const traceOf = (run: string, number: number): string => path.join(run, "profile", `trace-${number}.json`);
/** To some microseconds: libtorch keeps another clock. */
const isInside = (inner: Event, outer: Event): boolean => inner.ts >= outer.ts - 5 && inner.ts + inner.dur <= outer.ts + outer.dur + 5;

describe("the trace of a run", () => {
  let events: Event[] = [];
  let spans: Event[] = [];

  beforeAll(async () => {
    const ended = await trainFully([...words("profiled"), "--profile"]);
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.stderr).not.toMatch(/USDT|profiler_st/);
    const all = JSON.parse(readFileSync(traceOf(runIn("profiled"), 1), "utf8")) as Event[];
    events = all.filter(({ ph }) => ph === "X");
    spans = events.filter(({ cat }) => cat === "span");
    const titles = all.filter(({ ph }) => ph !== "X").map(({ name, ph, args }) => [name, ph, args?.name]);
    expect(titles).toEqual([
      ["process_name", "M", "training process"],
      ["thread_name", "M", "Tandem"],
      ["thread_name", "M", "libtorch"],
    ]);
  }, 200_000);

  it("has whole events only", () => {
    expect(events.length).toBeGreaterThan(1000);
    for (const { name, ts, dur, pid, tid } of events) {
      expect(name).not.toBe("");
      expect(ts).toBeGreaterThan(0);
      expect(dur).toBeGreaterThanOrEqual(0);
      expect(Number.isInteger(pid) && Number.isInteger(tid)).toBe(true);
    }
  });

  it("names the run's parts, in which all else lies", () => {
    const names = new Set(spans.map(({ name }) => name));
    const parts = ["open the run", "gradient audit", "step (generator)", "step (contrastive)", "refresh", "save", "export", "evaluation"];
    const inner = ["batch", "forward and backward", "backward", "gradient norm", "optimiser", "embed", "search", "generate"];
    for (const name of [...parts, ...inner]) expect(names, name).toContain(name);
  });

  it("has no two events of a row that overlap without one lying in the other: Perfetto drops such", () => {
    const nanoseconds = (microseconds: number): number => Math.round(1000 * microseconds);
    for (const tid of new Set(events.map((event) => event.tid))) {
      const row = events
        .filter((event) => event.tid === tid)
        .map(({ name, ts, dur }) => ({ name, start: nanoseconds(ts), end: nanoseconds(ts) + nanoseconds(dur) }))
        .sort((a, b) => a.start - b.start || b.end - a.end);
      const open: { name: string; end: number }[] = [];
      for (const event of row) {
        while (open.length > 0 && (open.at(-1)?.end ?? 0) <= event.start) open.pop();
        const around = open.at(-1);
        if (around !== undefined) expect(event.end, `${event.name} in ${around.name}`).toBeLessThanOrEqual(around.end);
        open.push(event);
      }
    }
  });

  it("has libtorch's operators inside three steps of each kind, and of no other", () => {
    const operators = events.filter(({ cat }) => cat === "operator");
    expect(operators.some(({ name }) => name === "aten::addmm")).toBe(true);
    expect(operators.some(({ name }) => name === "tandem::fused_adamw_")).toBe(true);
    const steps = spans.filter(({ name }) => name.startsWith("step ("));
    expect(operators.filter((operator) => !steps.some((step) => isInside(operator, step)))).toEqual([]);
    for (const kind of ["generator", "contrastive"]) {
      const own = steps.filter(({ name }) => name === `step (${kind})`);
      const recorded = own.map((step) => operators.some((operator) => isInside(operator, step)));
      expect(recorded.slice(0, 5), kind).toEqual([false, false, true, true, true]);
      expect(recorded.slice(5).some(Boolean), kind).toBe(false);
    }
  });

  it("changes no number", async () => {
    const ended = await trainFully(words("plain"));
    expect(ended.code, ended.stderr).toBe(0);
    expect(lossLines(runIn("plain"))).toEqual(lossLines(runIn("profiled")));
    expect(existsSync(path.join(runIn("plain"), "profile"))).toBe(false);
  }, 200_000);
});

describe("the traces of two workers", () => {
  it("are one each, and both judge negatives and decode answers to validation's questions", async () => {
    // 8 questions in two batches; and a cross-encoder that judges negatives, in some batches too.
    const teacher = crossEncoderFolder();
    const mining = ["source=bm25", "relative_margin=0", `teacher.path=${teacher.folder}`].map((word) => `train.contrastive.mining.${word}`);
    const more = ["train.workers=2", "threads=1", "eval.batch=4", "train.validate.every=4", ...mining];
    const ended = await trainFully([...words("two"), ...more, "--profile"]);
    teacher.free();
    expect(ended.code, ended.stderr).toBe(0);
    const folder = path.join(runIn("two"), "profile");
    expect(readdirSync(folder).sort()).toEqual(["rank-1", "trace-1.json"]);
    const traces = [folder, path.join(folder, "rank-1")].map(
      (of) => JSON.parse(readFileSync(path.join(of, "trace-1.json"), "utf8")) as Event[],
    );
    for (const events of traces) expect(events.filter(({ name }) => name === "cross-encoder").length).toBeGreaterThan(1);
    const decoding = traces.map((events) => {
      const turns = events.filter(({ name }) => name === "validation" || name === "phase ends");
      return events.filter((event) => event.name === "decode" && turns.some((turn) => isInside(event, turn))).length;
    });
    expect(decoding[0]).toBeGreaterThan(1);
    expect(decoding[1]).toBe(decoding[0]);
  }, 300_000);
});

describe("a profiled run that is killed", () => {
  it("leaves a readable trace, and has another when it is taken up again", async () => {
    const hasTrace = (): boolean => {
      const run = runIn("killed");
      return run !== "" && existsSync(traceOf(run, 1)) && statSync(traceOf(run, 1)).size > 200_000;
    };
    const killed = await trainAndKill([...words("killed"), "--profile"], hasTrace);
    expect(killed.signal, killed.stderr).toBe("SIGKILL");
    const run = runIn("killed");
    const cut = JSON.parse(`${readFileSync(traceOf(run, 1), "utf8")}]`) as Event[];
    expect(cut.some(({ name }) => name === "open the run")).toBe(true);
    const resumed = await trainFully(["--resume", run, "--profile", "--quiet"]);
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(readdirSync(path.join(run, "profile")).sort()).toEqual(["trace-1.json", "trace-2.json"]);
    expect(() => JSON.parse(readFileSync(traceOf(run, 2), "utf8")) as unknown).not.toThrow();
  }, 300_000);
});
