/**
 * Proves against a real MLflow server that a run directory arrives whole and once: every point with its value, time and step, parameters, tags, artefacts, the end; through kills of the server in the middle,
 * crashes between a send and its note, a resume that wrote the same steps anew, and items that the server refuses. Skipped where there is no Python with mlflow (TANDEM_MLFLOW_PYTHON).
 * Slow (one minute, three on a busy machine). Alone: npx vitest run test/tracking/mlflow-real.test.ts
 */
import { appendFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import { MlflowClient } from "../../src/tracking/mlflow-client.js";
import { cutBackMetrics, readMetrics } from "../../src/tracking/metrics-log.js";
import { MlflowTransport } from "../../src/tracking/mlflow-transport.js";
import type { RunDirectory } from "../../src/tracking/run-directory.js";
import { noteStatus } from "../../src/tracking/run-status.js";
import { syncRun, type SyncOutcome } from "../../src/tracking/sync-run.js";
import { cursorFile } from "../../src/tracking/tracking-cursor.js";
import { Tracker } from "../../src/tracking/tracker.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { append, CONFIG, finishRun, makeRun, reach, START, tracked } from "./made-run.js";
import { mlflowMissing, RealServer, type SeenRun } from "./mlflow-server.js";

const scratch = temporaryFolder();
let server: RealServer;
const said: string[] = [];
const say = (type: string, text: string): void => void said.push(`${type}: ${text}`);

const sync = (run: RunDirectory, experiment: string, more: Parameters<typeof tracked>[1] = {}): Promise<SyncOutcome> =>
  syncRun(run, { server: reach(server.uri), tracked: tracked(experiment, more), retries: 2, say });
const only = async (experiment: string): Promise<SeenRun> => {
  const runs = await server.runs(experiment);
  expect(runs).toHaveLength(1);
  return runs[0]!;
};
const faultOf = async (body: Promise<unknown>): Promise<string> => {
  const thrown: unknown = await body.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(UserError);
  return (thrown as UserError).message;
};
const stepsOf = async (id: string, key: string): Promise<number[]> =>
  (await server.history(id, key)).map(({ step }) => step).sort((a, b) => a - b);
const wholeNumbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);
/** The generator's steps of the log. */
const ofGenerator = (to: number): number[] => wholeNumbers(1, to).filter((step) => step % 3 !== 0);

const until = async (isTime: () => Promise<boolean>): Promise<void> => {
  const began = Date.now();
  while (!(await isTime())) {
    if (Date.now() - began > 100_000) throw new Error("it never came");
    await sleep(50);
  }
};

/** The server holds each number of the log exactly once, and nothing else under these keys. */
async function expectWholeAndOnce(run: RunDirectory, id: string): Promise<void> {
  const lines = [...readMetrics(run.metrics)];
  for (const [phase, name, key] of [
    ["generator", "loss", "generator/loss"],
    ["generator", "loss/answer", "generator/loss.answer"],
    ["contrastive", "rate", "contrastive/rate"],
  ] as const) {
    const wanted = lines.filter((line) => line.phase === phase).map((line) => [line.step, line[name]]);
    const held = (await server.history(id, key)).map(({ step, value }) => [step, value]).sort((a, b) => Number(a[0]) - Number(b[0]));
    expect(held).toEqual(wanted);
  }
}

describe.skipIf(mlflowMissing !== undefined)(
  `a run directory and a real MLflow server${mlflowMissing === undefined ? "" : ` (${mlflowMissing})`}`,
  () => {
    beforeAll(async () => {
      server = new RealServer();
      await server.start();
    }, 200_000);
    afterAll(() => server.remove());

    it("cozyrag 42: config, versions, metrics, validation, report and files arrive; a second sync finds nothing to send", async () => {
      const run = makeRun(scratch, { steps: 10 });
      finishRun(run);
      const first = await sync(run, "whole", { tags: { team: "a@b c", "bad?key": 5 } });
      // Ten steps, a validation, a report with two differences to the base pair, each with its p.
      expect(first.points).toBe(10 * 4 + 5 + 6 + 2 * 2);
      const seen = await only("whole");
      expect(seen.info).toMatchObject({ run_name: run.path.split("/").at(-1), status: "FINISHED" });
      expect(seen.info.end_time).toBeGreaterThan(START.getTime());
      await expectWholeAndOnce(run, seen.info.run_id);
      expect(await server.history(seen.info.run_id, "generator/loss.answer")).toContainEqual({
        key: "generator/loss.answer",
        value: 2 * Math.PI,
        step: 2,
        timestamp: START.getTime() + 2,
      });
      expect(await server.history(seen.info.run_id, "validation/recall_at_5")).toEqual([
        { key: "validation/recall_at_5", value: 1, step: 2, timestamp: START.getTime() + 50 },
      ]);
      expect(await server.history(seen.info.run_id, "report/trained-pair/em")).toMatchObject([{ value: 0.5, step: 10 }]);
      const params = Object.fromEntries((seen.data.params ?? []).map(({ key, value }) => [key, value]));
      expect(params).toMatchObject({
        seed: "7",
        "train.generator.lr": "0.0001",
        "train.generator.batch": "null",
        "train.schedule": JSON.stringify(CONFIG.train.schedule),
        "prompt.separator": "",
      });
      expect(Object.keys(params).some((key) => /^(tracking|resume)/.test(key))).toBe(false);
      const tags = Object.fromEntries((seen.data.tags ?? []).map(({ key, value }) => [key, value]));
      expect(tags).toMatchObject({ team: "a@b c", "tandem.run": run.path, "tandem.version": "0.0.0", "mlflow.source.type": "LOCAL" });
      expect(Object.entries(tags)).toContainEqual([expect.stringMatching(/^bad_key_[0-9a-f]{8}$/), "5"]);
      const names = await server.artefacts(seen.info.run_id);
      for (const name of [
        "config.yaml",
        "overrides.yaml",
        "environment.json",
        "inputs.json",
        "report.json",
        "report.txt",
        "report.html",
        "validation/step-00000002-generator.jsonl",
      ])
        expect(names).toContain(name);
      expect(names.some((name) => /^(retriever|generator)\//.test(name))).toBe(false);
      for (const name of ["config.yaml", "validation/step-00000002-generator.jsonl"])
        expect(await server.artefact(seen, name)).toBe(readFileSync(`${run.path}/${name}`, "utf8"));
      expect(await sync(run, "whole", { tags: { team: "a@b c", "bad?key": 5 } })).toEqual({ ...first, points: 0, files: 0 });
      const models = await sync(run, "whole", { artefacts: { files: true, models: true } });
      expect(models.files).toBe(2);
      expect(await server.artefacts(seen.info.run_id)).toContain("retriever/model.safetensors");
    }, 240_000);

    it("takes NaN and infinities as MLflow keeps them, and names that it has no letters for", async () => {
      const run = makeRun(scratch);
      const record = {
        phase: "generator",
        time: 1000,
        loss: "NaN",
        rate: "Infinity",
        low: "-Infinity",
        "recall@1": 0.5,
        "../ä": 1,
        "": 2,
        ["x".repeat(300)]: 3,
      } as Record<string, unknown>;
      writeFileSync(run.metrics, `${JSON.stringify({ step: 1, ...record })}\n`);
      await sync(run, "not finite");
      const { info, data } = await only("not finite");
      const held = new Map((data.metrics ?? []).map(({ key, value }) => [key, value]));
      expect(held.get("generator/loss")).toBe("NaN");
      expect(held.get("generator/rate")).toBeGreaterThan(1.79e308);
      expect(held.get("generator/low")).toBeLessThan(-1.79e308);
      expect(held.get("generator/recall_at_1")).toBe(0.5);
      expect([...held.keys()].filter((key) => held.get(key) === 3)).toEqual([expect.stringMatching(/^generator\/x{231}_[0-9a-f]{8}$/)]);
      expect([...held.values()].filter((value) => value === 1 || value === 2)).toHaveLength(2);
      expect(info.status).toBe("KILLED");
    }, 240_000);

    it("is sent in batches that the server takes: 3,000 steps, 250 parameters, values longer than it keeps", async () => {
      const many = Object.fromEntries(Array.from({ length: 250 }, (_, i) => [`key${i}`, i]));
      const run = makeRun(scratch, {
        steps: 3000,
        config: {
          ...CONFIG,
          vars: many,
          long: "ä".repeat(7000),
          wide: Array.from({ length: 120 }, () => "ö".repeat(5990)).reduce<Record<string, string>>(
            (all, text, i) => ({ ...all, [`w${i}`]: text }),
            {},
          ),
        },
      });
      said.length = 0;
      await sync(run, "large");
      const { info, data } = await only("large");
      const loss = await server.history(info.run_id, "generator/loss");
      expect(loss).toHaveLength(2000);
      expect(new Set(loss.map(({ step }) => step)).size).toBe(2000);
      const params = new Map((data.params ?? []).map(({ key, value }) => [key, value]));
      expect(params.get("vars.key249")).toBe("249");
      expect(params.get("wide.w119")).toBe("ö".repeat(5990));
      expect(params.get("long")).toBe("ä".repeat(6000));
      expect(said.filter((line) => line.startsWith("warning"))).toEqual([
        expect.stringMatching(
          /^warning: tracking: long: longer than an MLflow parameter can be and cut there; whole in the artefact config\.yaml$/,
        ),
      ]);
    }, 400_000);

    it("nothing is sent twice after a crash between a send and its note, though the resumed run wrote the same steps at other times", async () => {
      const run = makeRun(scratch, { steps: 10 });
      await sync(run, "crash");
      const before = readFileSync(cursorFile(run.path), "utf8");
      append(run, 11, 30);
      await sync(run, "crash");
      // The process died before it could write the cursor; the resumed run began at step 20 and wrote 21 to 35.
      writeFileSync(cursorFile(run.path), before);
      cutBackMetrics(run.metrics, 20);
      append(run, 21, 35, START.getTime() + 99_999);
      const again = await sync(run, "crash");
      expect(again.points).toBe(5 * 4);
      const { info } = await only("crash");
      await expectWholeAndOnce(run, info.run_id);
      expect(await stepsOf(info.run_id, "generator/loss")).toEqual(ofGenerator(35));
    }, 240_000);

    it("finds its MLflow run again without its cursor, and sends nothing twice", async () => {
      const run = makeRun(scratch, { steps: 12 });
      const { address } = await sync(run, "no cursor");
      rmSync(cursorFile(run.path));
      append(run, 13, 15);
      expect(await sync(run, "no cursor")).toMatchObject({ address, points: 12 });
      const { info } = await only("no cursor");
      expect(await stepsOf(info.run_id, "generator/loss")).toEqual(ofGenerator(15));
    }, 240_000);

    it("an identical point that is sent again stays one", async () => {
      const run = makeRun(scratch, { steps: 1 });
      const { address } = await sync(run, "identical");
      const id = address.split("/").at(-1)!;
      const transport = new MlflowTransport(reach(server.uri));
      const point = { key: "again", value: 0.1, timestamp: 1234, step: 3 };
      const odd = { ...point, value: Number.NaN };
      for (let time = 0; time < 3; time++)
        await new MlflowClient(transport).logBatch(id, { metrics: [point, odd, point] }, new AbortController().signal);
      await transport.close();
      expect((await server.history(id, "again")).map(({ value }) => value).sort()).toEqual([0.1, "NaN"]);
    }, 240_000);

    it("is followed while it grows, through a server that is killed and comes back, whole and once", async () => {
      const run = makeRun(scratch);
      const lines: string[] = [];
      const tracker = new Tracker({
        run,
        server: reach(server.uri),
        tracked: tracked("followed"),
        every: 50,
        say: (type, text) => lines.push(`${type}: ${text}`),
      });
      tracker.start();
      const grow = async (from: number, to: number): Promise<void> => {
        for (let step = from; step <= to; step++) {
          append(run, step, step);
          await sleep(10);
        }
      };
      await grow(1, 60);
      await until(() =>
        server.runs("followed").then(
          (runs) => runs.length === 1,
          () => false,
        ),
      );
      const { info } = await only("followed");
      expect(info.status).toBe("RUNNING");
      await until(async () => (await stepsOf(info.run_id, "generator/loss")).length >= 20);
      const growing = grow(61, 160);
      await sleep(200);
      await server.kill();
      await growing;
      await sleep(3000);
      await server.start();
      finishRun(run);
      await tracker.end(60_000, new AbortController().signal);
      await expectWholeAndOnce(run, info.run_id);
      expect(await stepsOf(info.run_id, "generator/loss")).toEqual(ofGenerator(160));
      expect((await only("followed")).info.status).toBe("FINISHED");
      expect(lines.filter((line) => line.startsWith("warning"))).toEqual([
        expect.stringMatching(/^warning: tracking: http:\/\/127\.0\.0\.1:\d+ is away: .*; the run goes on/),
      ]);
      expect(lines.filter((line) => line.includes("answers again"))).toHaveLength(1);
    }, 240_000);

    it("that was stopped goes on in the same MLflow run, which is running again and then ends", async () => {
      const run = makeRun(scratch, { steps: 6 });
      noteStatus(run, "stopped");
      await sync(run, "goes on");
      expect((await only("goes on")).info.status).toBe("KILLED");
      noteStatus(run, "running");
      const tracker = new Tracker({ run, server: reach(server.uri), tracked: tracked("goes on"), every: 50, say });
      tracker.start();
      await until(async () => (await only("goes on")).info.status === "RUNNING");
      append(run, 7, 9);
      noteStatus(run, "failed", "no");
      await tracker.end(20_000, new AbortController().signal);
      const { info } = await only("goes on");
      expect(info.status).toBe("FAILED");
      expect(await stepsOf(info.run_id, "generator/loss")).toEqual(ofGenerator(9));
    }, 240_000);

    it("that died without a word ends as KILLED with the next sync", async () => {
      const run = makeRun(scratch, { steps: 3 });
      await sync(run, "died");
      const { info } = await only("died");
      expect(info.status).toBe("KILLED");
      expect(info.end_time).toBeGreaterThan(START.getTime());
    }, 240_000);

    it("loses only what the server refuses, and says so: a parameter that has another value there", async () => {
      const run = makeRun(scratch, { steps: 2 });
      const { address } = await sync(run, "refused");
      const id = address.split("/").at(-1)!;
      await server.call("POST", "runs/log-batch", { run_id: id, params: [{ key: "late", value: "theirs" }] });
      appendFileSync(run.config, `late: ours\n${Array.from({ length: 20 }, (_, i) => `more${i}: ${i}\n`).join("")}`);
      said.length = 0;
      await sync(run, "refused");
      const params = new Map(((await only("refused")).data.params ?? []).map(({ key, value }) => [key, value]));
      expect([params.get("late"), ...Array.from({ length: 20 }, (_, i) => params.get(`more${i}`))]).toEqual([
        "theirs",
        ...Array.from({ length: 20 }, (_, i) => String(i)),
      ]);
      expect(said.filter((line) => line.startsWith("warning"))).toEqual([expect.stringMatching(/parameter late is refused .*left out/)]);
    }, 240_000);

    it("that was deleted there is left alone, with the mend in one line", async () => {
      const run = makeRun(scratch, { steps: 2 });
      const { address } = await sync(run, "deleted");
      await server.call("POST", "runs/delete", { run_id: address.split("/").at(-1) });
      append(run, 3, 4);
      expect(await faultOf(sync(run, "deleted"))).toMatch(
        /refuses: the MLflow run [0-9a-f]{32} is deleted there; restore it, or remove .*tracking\.json for a new one/,
      );
      const { experiment } = (await server.call("GET", "experiments/get-by-name?experiment_name=deleted")) as {
        experiment: { experiment_id: string };
      };
      await server.call("POST", "experiments/delete", { experiment_id: experiment.experiment_id });
      expect(await faultOf(sync(makeRun(scratch, { steps: 1 }), "deleted"))).toMatch(/refuses: the experiment "deleted" is deleted there/);
    }, 240_000);

    it("many at once make one experiment and a run each", async () => {
      const runs = Array.from({ length: 6 }, () => makeRun(scratch, { steps: 3 }));
      await Promise.all(runs.map((run) => sync(run, "race")));
      expect(await server.runs("race")).toHaveLength(6);
    }, 240_000);

    it("goes into the MLflow run that it is told to, but not into one that holds another run", async () => {
      await sync(makeRun(scratch, { steps: 1 }), "adopted");
      const { experiment } = (await server.call("GET", "experiments/get-by-name?experiment_name=adopted")) as {
        experiment: { experiment_id: string };
      };
      const made = (await server.call("POST", "runs/create", { experiment_id: experiment.experiment_id, start_time: 1 })) as {
        run: SeenRun;
      };
      const runId = made.run.info.run_id;
      expect((await sync(makeRun(scratch, { steps: 2 }), "adopted", { runId })).address).toContain(runId);
      expect((await sync(makeRun(scratch, { steps: 2 }), "adopted", { runId })).address).not.toContain(runId);
      expect(await faultOf(sync(makeRun(scratch), "adopted", { runId: "f".repeat(32) }))).toMatch(
        /refuses: has no run f{32} \(MLFLOW_RUN_ID\)/,
      );
    }, 240_000);
  },
);
