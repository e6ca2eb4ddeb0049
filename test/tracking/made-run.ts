/** A run directory as training leaves it, written by hand in milliseconds. It has learnt nothing and has everything that a server is sent. */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import path from "node:path";
import { stringify } from "yaml";
import type { MlflowServer } from "../../src/tracking/mlflow-transport.js";
import type { TrackedRun } from "../../src/tracking/mlflow-run.js";
import { type MetricsRecord, openMetricsLog } from "../../src/tracking/metrics-log.js";
import { createRunDirectory, type RunDirectory } from "../../src/tracking/run-directory.js";
import { noteStatus } from "../../src/tracking/run-status.js";

export const START = new Date("2026-03-14T15:09:26.535Z");

export const CONFIG = {
  name: "made",
  seed: 7,
  device: "cpu",
  resume: null,
  train: { schedule: [{ phase: "generator", steps: 3 }], generator: { lr: 1e-4, batch: null }, log: { every: 1 } },
  prompt: { separator: "", template: "Q: {question}\nA:" },
  eval: { rows: ["trained-pair"] },
  tracking: { uri: null },
};

/** A line of metrics.jsonl as the worker writes it. */
function lineOf(step: number, time = START.getTime() + step): MetricsRecord {
  return {
    step,
    phase: step % 3 === 0 ? "contrastive" : "generator",
    time,
    loss: 1 / (step + 1),
    "loss/answer": step * Math.PI,
    rate: 1e-4,
    tokens_per_second: step,
  };
}

/** A new run under `root`; the lines of the steps 1 to `steps` are in its log. */
export function makeRun(root: string, { steps = 0, config = CONFIG }: { steps?: number; config?: object } = {}): RunDirectory {
  const folder = mkdtempSync(path.join(root, "runs-"));
  const run = createRunDirectory(folder, {
    name: "made",
    configYaml: stringify(config),
    overrides: ["seed=7"],
    versions: { tandem: "0.0.0", host: "here" },
    start: START,
  });
  noteStatus(run, "running");
  append(run, 1, steps);
  return run;
}

/** Adds the lines of the steps `from` to `to`. */
export function append(run: RunDirectory, from: number, to: number, time?: number): void {
  const log = openMetricsLog(run.metrics);
  for (let step = from; step <= to; step++) log.append(lineOf(step, time));
  log.close();
}

/** What the end of a run adds: answers, report, models. */
export function finishRun(run: RunDirectory): void {
  writeFileSync(path.join(run.path, "inputs.json"), '{"questions.train": {"path": "q", "sha256": "0"}}\n');
  writeFileSync(path.join(run.validation, "step-00000002-generator.jsonl"), '{"answer":"ä"}\n');
  const summary = {
    step: 2,
    phase: "generator",
    time: START.getTime() + 50,
    em: 0.25,
    f1: 0.5,
    mrr: null,
    recall: { "1": 0.125, "5": 1 },
    answer_in_context: 0.75,
  };
  writeFileSync(path.join(run.validation, "summary.jsonl"), `${JSON.stringify(summary)}\n`);
  for (const folder of [run.retriever, run.generator]) {
    mkdirSync(folder);
    writeFileSync(path.join(folder, "model.safetensors"), new Uint8Array(300_000).fill(7));
  }
  const found = { exact: true, permutations: 16, smallest_p: 0.0625, documents: 4, differing_documents: 4, questions: 4 };
  const row = {
    name: "trained-pair",
    meaning: "the pair",
    em: 0.5,
    em_interval: [0.4, 0.6],
    f1: 0.625,
    recall: { "1": 0.25 },
    mrr: 0.375,
    answer_in_context: 0.5,
    with_gold: 4,
    against_base: {
      em: { difference: 0.25, interval: [0, 0.5], p: 0.0625, ...found },
      "recall@1": { difference: 0.125, interval: [0, 0.5], p: 0.5, ...found },
    },
  };
  writeFileSync(run.reportText, "trained-pair 0.5\n");
  writeFileSync(run.reportHtml, "<!doctype html>\n");
  writeFileSync(run.reportJson, JSON.stringify({ name: "made", split: "test", questions: 4, rows: [row], more: [], seconds: {} }));
  noteStatus(run, "finished");
}

/** How a test reaches a server. */
export function reach(uri: string, more: Partial<MlflowServer> = {}): MlflowServer {
  return {
    uri,
    authorization: undefined,
    secrets: [],
    tls: { insecure: false, authority: undefined, clientCertificate: undefined },
    proxy: { http: undefined, https: undefined, except: undefined },
    timeout: 10_000,
    ...more,
  };
}

export function tracked(experiment: string, more: Partial<TrackedRun> = {}): TrackedRun {
  return {
    experiment: { name: experiment },
    runId: undefined,
    name: null,
    tags: {},
    artefacts: { files: true, models: false },
    start: START.getTime(),
    ...more,
  };
}
