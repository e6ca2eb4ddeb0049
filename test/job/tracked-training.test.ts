/**
 * Proves that real training runs end up whole and once at a real MLflow server: through a SIGKILL of driver and worker and a kill of the server in the middle, a stop by signal and its resume, a mistake of the user's,
 * a server that was away all the time and a later sync, a server that asks for a password. And that a server that hangs holds up a run's end no longer than tracking.end_wait, and no password is written down.
 * Needs the native add-ons; those with a real server are skipped where there is no Python with mlflow (TANDEM_MLFLOW_PYTHON).
 * Slow (about three minutes). Alone: npx vitest run test/job/tracked-training.test.ts
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { readMetrics } from "../../src/tracking/metrics-log.js";
import { runPlaces } from "../../src/tracking/run-directory.js";
import { HostileServer } from "../tracking/hostile-server.js";
import { freePort, mlflowMissing, RealServer } from "../tracking/mlflow-server.js";
import { compiledTraining, workerOf } from "./compiled-training.js";
import { runFolder } from "./killed-run.js";

const training = compiledTraining("tracked");
/** Long enough to be killed in the middle. */
const LONG = "train.schedule=[{phase: generator, steps: 40}, {phase: contrastive, steps: 5}]";
const words = (runs: string, ...more: string[]): string[] => [
  "experiment=tiny",
  `run.dir=${runs}`,
  "--quiet",
  "tracking.every=0.2",
  "tracking.end_wait=300",
  "train.checkpoint.every=3",
  "train.log.every=1",
  ...more,
];
const environment = (changes: Record<string, string>): void => {
  for (const name of Object.keys(process.env).filter((key) => key.startsWith("MLFLOW_"))) Reflect.deleteProperty(process.env, name);
  Object.assign(process.env, changes);
};
const lines = (run: string): number => {
  const file = path.join(run, "metrics.jsonl");
  return existsSync(file) ? readFileSync(file, "utf8").split("\n").length - 1 : 0;
};
const tracking = (stderr: string): string[] => stderr.split("\n").filter((line) => line.includes("tracking"));
const statusOf = (run: string): { state: string; time: string } =>
  JSON.parse(readFileSync(path.join(run, "status.json"), "utf8")) as { state: string; time: string };

async function until(isTime: () => boolean | Promise<boolean>): Promise<void> {
  const began = Date.now();
  while (!(await isTime())) {
    if (Date.now() - began > 200_000) throw new Error("it never came");
    await sleep(20);
  }
}

/** Every file of a run directory that holds the text. */
function holding(folder: string, text: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => {
    const file = path.join(folder, name);
    return statSync(file).isFile() && readFileSync(file).includes(text);
  });
}

afterEach(() => environment({}));

describe("a server that hangs", () => {
  it("holds up a run's end no longer than tracking.end_wait, and training not at all", async () => {
    const server = new HostileServer();
    await server.start();
    server.mischief = () => "done";
    environment({ MLFLOW_TRACKING_URI: server.uri });
    const runs = training.runs();
    const { code, stderr } = await training.start(words(runs, "tracking.end_wait=2")).ended;
    const ended = Date.now();
    expect(code, stderr).toBe(0);
    const run = runFolder(runs)!;
    expect(server.asked.length).toBeGreaterThan(0);
    expect((ended - Date.parse(statusOf(run).time)) / 1000).toBeLessThan(2 + 2.5);
    expect(tracking(stderr).at(-1)).toContain(`nothing is lost, send the rest with: tandem runs sync ${run}`);
    await server.stop();
  }, 240_000);

  it("and an address that is no server's are said in one line, before anything is made", async () => {
    environment({ MLFLOW_TRACKING_URI: "http://127.0.0.1:1", MLFLOW_TRACKING_SERVER_CERT_PATH: "/nowhere.pem" });
    const runs = training.runs();
    const { code, stderr } = await training.start(words(runs)).ended;
    expect([code, readdirSync(runs)]).toEqual([2, []]);
    expect(stderr).toMatch(/tandem train: MLFLOW_TRACKING_SERVER_CERT_PATH: \/nowhere\.pem can't be read \(ENOENT\)/);
    const refused = await training.start(words(runs, "tracking.uri=http://user:geheim@host")).ended;
    expect([refused.code, readdirSync(runs)]).toEqual([2, []]);
    expect(refused.stderr).toContain(
      "'tracking.uri' has a wrong value; expected http://host:port or https://host, without user and password",
    );
    expect(refused.stderr).not.toContain("geheim");
  }, 120_000);
});

describe.skipIf(mlflowMissing !== undefined)(
  `a training run and a real MLflow server${mlflowMissing === undefined ? "" : ` (${mlflowMissing})`}`,
  () => {
    let server: RealServer;
    beforeAll(async () => {
      server = new RealServer();
      await server.start();
    }, 200_000);
    afterAll(() => server.remove());

    /** The log's numbers are at the server, each once, in one MLflow run. */
    async function expectWholeAndOnce(run: string, experiment: string, status: string): Promise<void> {
      const runs = await server.runs(experiment);
      expect(runs.map(({ info }) => info.status)).toEqual([status]);
      const { run_id: id } = runs[0]!.info;
      for (const [phase, name, key] of [
        ["generator", "loss", "generator/loss"],
        ["generator", "loss/answer", "generator/loss.answer"],
        ["contrastive", "gradient_norm", "contrastive/gradient_norm"],
      ] as const) {
        const wanted = [...readMetrics(runPlaces(run).metrics)]
          .filter((line) => line.phase === phase)
          .map((line) => [line.step, line[name]]);
        const held = (await server.history(id, key)).map(({ step, value }) => [step, value]).sort((a, b) => Number(a[0]) - Number(b[0]));
        expect(wanted.length).toBeGreaterThan(1);
        expect(held).toEqual(wanted);
      }
    }

    it("is whole and once after SIGKILL of driver and worker, a resume, and a kill of the server in the middle of each", async () => {
      environment({ MLFLOW_TRACKING_URI: server.uri, MLFLOW_EXPERIMENT_NAME: "killed" });
      const runs = training.runs();
      const first = training.start(words(runs, LONG));
      await until(() => lines(runFolder(runs) ?? "") >= 8);
      await until(() =>
        server.runs("killed").then(
          ({ length }) => length === 1,
          () => false,
        ),
      );
      await server.kill();
      await until(() => lines(runFolder(runs) ?? "") >= 14 || first.process.exitCode !== null);
      const run = runFolder(runs)!;
      const worker = workerOf(first.process);
      first.process.kill("SIGKILL");
      if (worker !== undefined) process.kill(worker, "SIGKILL");
      await first.ended;
      const second = training.start(["--resume", run, "--quiet"]);
      await until(() => lines(run) >= 30 || second.process.exitCode !== null);
      await server.start();
      const { code, stderr } = await second.ended;
      expect(code, stderr).toBe(0);
      await expectWholeAndOnce(run, "killed", "FINISHED");
      const [seen] = await server.runs("killed");
      expect(await server.artefact(seen!, "report.json")).toBe(readFileSync(path.join(run, "report.json"), "utf8"));
      expect(await server.artefact(seen!, "config.yaml")).toBe(readFileSync(path.join(run, "config.yaml"), "utf8"));
      expect(await server.artefacts(seen!.info.run_id)).toEqual(
        expect.arrayContaining(["environment.json", "inputs.json", "audit.txt", "corpus/manifest.json", "validation/final.jsonl"]),
      );
    }, 500_000);

    it("cozyrag 42: ends as KILLED when a signal stops it, runs on in the same MLflow run, and ends as FINISHED", async () => {
      environment({ MLFLOW_TRACKING_URI: server.uri, MLFLOW_EXPERIMENT_NAME: "stopped" });
      const runs = training.runs();
      const first = training.start(words(runs, LONG));
      await until(() => lines(runFolder(runs) ?? "") >= 3 && existsSync(path.join(runFolder(runs) ?? "", "tracking.json")));
      first.process.kill("SIGTERM");
      const { code, stderr } = await first.ended;
      expect(code, stderr).toBe(75);
      const run = runFolder(runs)!;
      expect(statusOf(run).state).toBe("stopped");
      // A stopped run waits five seconds at most, which a busy machine's server may need for itself.
      if (stderr.includes("tandem runs sync")) expect(spawnSync(training.tandem, ["runs", "sync", run]).status).toBe(0);
      expect((await server.runs("stopped")).map(({ info }) => info.status)).toEqual(["KILLED"]);
      const second = await training.start([...words(runs, LONG, "tracking.every=0.1"), "--resume", "auto"]).ended;
      expect(second.code, second.stderr).toBe(0);
      await expectWholeAndOnce(run, "stopped", "FINISHED");
    }, 400_000);

    it("ends as FAILED for a mistake of the user's, with the line in the run directory", async () => {
      environment({ MLFLOW_TRACKING_URI: server.uri });
      const runs = training.runs();
      const questions = path.join(runs, "questions.jsonl");
      writeFileSync(questions, '{"id":"1"}\n');
      const { code } = await training.start(
        words(path.join(runs, "runs"), "tracking.experiment=failed", `data.questions.train=${questions}`),
      ).ended;
      expect(code).toBe(2);
      expect((await server.runs("failed")).map(({ info }) => info.status)).toEqual(["FAILED"]);
      expect(statusOf(runFolder(path.join(runs, "runs"))!)).toMatchObject({
        state: "failed",
        reason: expect.stringContaining(questions) as string,
      });
    }, 240_000);

    it("whose server was away all the time is sent later, whole and once", async () => {
      environment({ MLFLOW_TRACKING_URI: `http://127.0.0.1:${await freePort()}` });
      const runs = training.runs();
      const { code, stderr } = await training.start(words(runs, "tracking.end_wait=1")).ended;
      expect(code, stderr).toBe(0);
      expect(tracking(stderr)).toHaveLength(2);
      expect(tracking(stderr)[0]).toMatch(
        /^warning: tracking: http:\/\/127\.0\.0\.1:\d+ is away: no answer \(ECONNREFUSED\); the run goes on/,
      );
      const run = runFolder(runs)!;
      const sync = (): ReturnType<typeof spawnSync> =>
        spawnSync(training.tandem, ["runs", "sync", run, "--uri", server.uri, "--experiment", "later", "--json"], { encoding: "utf8" });
      const outcome = sync();
      expect(outcome.status, String(outcome.stderr)).toBe(0);
      await expectWholeAndOnce(run, "later", "FINISHED");
      expect((JSON.parse(String(sync().stdout)) as object[])[0]).toMatchObject({ points: 0, files: 0, status: "FINISHED" });
    }, 300_000);

    it("asks for a password: the right one serves, a wrong one costs one warning, and neither is written down", async () => {
      const guarded = new RealServer("chief:geheim-passwort-1");
      await guarded.start();
      try {
        environment({ MLFLOW_TRACKING_URI: guarded.uri.replace("//", "//chief:geheim-passwort-1@"), MLFLOW_EXPERIMENT_NAME: "guarded" });
        const runs = training.runs();
        const right = await training.start(words(runs)).ended;
        expect(right.code, right.stderr).toBe(0);
        const [seen] = await guarded.runs("guarded");
        expect(seen?.info.status).toBe("FINISHED");
        expect(await guarded.artefacts(seen!.info.run_id)).toContain("report.json");
        expect(right.stderr).not.toContain("geheim");
        expect(holding(runFolder(runs)!, "geheim")).toEqual([]);
        environment({ MLFLOW_TRACKING_URI: guarded.uri, MLFLOW_TRACKING_USERNAME: "chief", MLFLOW_TRACKING_PASSWORD: "geheim-passwort-2" });
        const others = training.runs();
        const wrong = await training.start(words(others, "tracking.end_wait=1")).ended;
        expect(wrong.code, wrong.stderr).toBe(0);
        expect(tracking(wrong.stderr)).toHaveLength(2);
        expect(tracking(wrong.stderr)[0]).toMatch(/refuses: status 401, /);
        expect(wrong.stderr).not.toContain("geheim");
        expect(holding(runFolder(others)!, "geheim")).toEqual([]);
      } finally {
        await guarded.remove();
      }
    }, 400_000);
  },
);
