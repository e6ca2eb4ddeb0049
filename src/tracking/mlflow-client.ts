/**
 * MLflow's REST API as far as a training run needs it: experiments, runs, batches, histories, artefacts. It decides nothing and keeps nothing. The trap: an answer is a stranger's; what lacks the field that is
 * needed counts as no answer, never as an empty one.
 * Source: MLflow 3's REST API reference, and its limits in `mlflow/utils/validation.py`.
 */
import { MlflowError, type MlflowTransport } from "./mlflow-transport.js";

/** How MLflow calls what became of a run. */
export type ServerState = "RUNNING" | "FINISHED" | "FAILED" | "KILLED";

/** A point as the server takes it. */
export interface MetricPoint {
  readonly key: string;
  readonly value: number;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly step: number;
}

export interface KeyValue {
  readonly key: string;
  readonly value: string;
}

/** What the server says about a run. */
export interface ServerRun {
  readonly id: string;
  readonly experimentId: string;
  readonly artefactUri: string;
  readonly status: string;
  readonly isActive: boolean;
  /** The last step of each metric. */
  readonly lastSteps: ReadonlyMap<string, number>;
  readonly tags: ReadonlyMap<string, unknown>;
}

/** Names and times of a new run. */
export interface RunDescription {
  readonly experimentId: string;
  readonly name: string;
  readonly start: number;
  readonly tags: readonly KeyValue[];
}

const API = "api/2.0/mlflow/";
/** Points of a metric's history fetched at once. */
const PAGE = 10_000;

export class MlflowClient {
  readonly #transport: MlflowTransport;

  constructor(transport: MlflowTransport) {
    this.#transport = transport;
  }

  get uri(): string {
    return this.#transport.uri;
  }

  /** The id of the experiment, which is made if it isn't there. @throws MlflowError, also for one that was deleted */
  async experiment(name: string, signal: AbortSignal): Promise<string> {
    const known = await this.#experimentNamed(name, signal);
    if (known !== undefined) return known;
    try {
      return textOf(field(await this.#post("experiments/create", { name }, signal), "experiment_id"), "experiment_id");
    } catch (error) {
      // Another run made it between the two requests.
      if (!(error instanceof MlflowError) || error.code !== "RESOURCE_ALREADY_EXISTS") throw error;
      const made = await this.#experimentNamed(name, signal);
      if (made === undefined) throw error;
      return made;
    }
  }

  async #experimentNamed(name: string, signal: AbortSignal): Promise<string | undefined> {
    const answer = await this.#unlessMissing(this.#get("experiments/get-by-name", { experiment_name: name }, signal));
    if (answer === undefined) return undefined;
    const experiment = field(answer, "experiment");
    if (field(experiment, "lifecycle_stage") === "deleted")
      throw new MlflowError(
        "refused",
        `the experiment ${JSON.stringify(name)} is deleted there; restore it or choose another (tracking.experiment)`,
      );
    return textOf(field(experiment, "experiment_id"), "experiment_id");
  }

  async createRun({ experimentId, name, start, tags }: RunDescription, signal: AbortSignal): Promise<ServerRun> {
    const body = { experiment_id: experimentId, run_name: name, start_time: start, tags };
    return serverRun(field(await this.#post("runs/create", body, signal), "run"));
  }

  /** The run, or undefined when the server has none of that id. */
  async run(id: string, signal: AbortSignal): Promise<ServerRun | undefined> {
    const answer = await this.#unlessMissing(this.#get("runs/get", { run_id: id }, signal));
    return answer === undefined ? undefined : serverRun(field(answer, "run"));
  }

  /** The oldest run of the experiment that has this tag. */
  async runTagged(experimentId: string, { key, value }: KeyValue, signal: AbortSignal): Promise<ServerRun | undefined> {
    const filter = `tags.\`${key}\` = '${value}'`;
    const body = { experiment_ids: [experimentId], filter, max_results: 1, order_by: ["attributes.start_time ASC"] };
    const answer = await this.#post("runs/search", body, signal);
    const { runs } = (answer ?? {}) as { runs?: unknown };
    return Array.isArray(runs) && runs.length > 0 ? serverRun(runs[0]) : undefined;
  }

  async logBatch(
    runId: string,
    batch: { metrics?: readonly MetricPoint[]; params?: readonly KeyValue[]; tags?: readonly KeyValue[] },
    signal: AbortSignal,
  ): Promise<void> {
    const metrics = batch.metrics?.map((point) => ({ ...point, value: writable(point.value) }));
    await this.#post("runs/log-batch", { run_id: runId, ...batch, ...(metrics === undefined ? {} : { metrics }) }, signal);
  }

  async updateRun(runId: string, change: { status: ServerState; end?: number; name?: string }, signal: AbortSignal): Promise<void> {
    const { status, end, name } = change;
    const times = end === undefined ? {} : { end_time: end };
    await this.#post("runs/update", { run_id: runId, status, ...times, ...(name === undefined ? {} : { run_name: name }) }, signal);
  }

  /** The steps above `after` that the server holds of a metric. */
  async metricSteps(runId: string, key: string, after: number, signal: AbortSignal): Promise<Set<number>> {
    const steps = new Set<number>();
    for (let token: string | undefined; ;) {
      const query = { run_id: runId, metric_key: key, max_results: String(PAGE), ...(token === undefined ? {} : { page_token: token }) };
      const answer = ((await this.#get("metrics/get-history", query, signal)) ?? {}) as { metrics?: unknown; next_page_token?: unknown };
      const points = Array.isArray(answer.metrics) ? answer.metrics : [];
      for (const point of points) {
        const step = stepOf(point);
        if (step > after) steps.add(step);
      }
      token = typeof answer.next_page_token === "string" && answer.next_page_token !== "" ? answer.next_page_token : undefined;
      if (token === undefined || points.length === 0) return steps;
    }
  }

  /** Whether files can be sent to the run through the server. */
  static takesFiles(artefactUri: string): boolean {
    return /^mlflow-artifacts:\/[^/]/.test(artefactUri);
  }

  /** Puts a file into a run's artefacts, in place of one of that name. @param name its path there, with slashes */
  async putFile(artefactUri: string, name: string, file: string, signal: AbortSignal): Promise<void> {
    const place = [...artefactUri.replace(/^mlflow-artifacts:\/+/, "").split("/"), ...name.split("/")];
    const path = `api/2.0/mlflow-artifacts/artifacts/${place.map(encodeURIComponent).join("/")}`;
    await this.#transport.send({ method: "PUT", path, file }, signal);
  }

  #get(path: string, query: Record<string, string>, signal: AbortSignal): Promise<unknown> {
    return this.#transport.send({ method: "GET", path: API + path, query }, signal);
  }

  #post(path: string, json: unknown, signal: AbortSignal): Promise<unknown> {
    return this.#transport.send({ method: "POST", path: API + path, json }, signal);
  }

  async #unlessMissing(answer: Promise<unknown>): Promise<unknown> {
    try {
      return await answer;
    } catch (error) {
      if (error instanceof MlflowError && error.code === "RESOURCE_DOES_NOT_EXIST") return undefined;
      throw error;
    }
  }
}

/** JSON has no word for these; MLflow reads the texts. */
function writable(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

function serverRun(run: unknown): ServerRun {
  const info = field(run, "info");
  const data = (run as { data?: unknown }).data ?? {};
  return {
    id: textOf(field(info, "run_id"), "run_id"),
    experimentId: textOf(field(info, "experiment_id"), "experiment_id"),
    artefactUri: textOf(field(info, "artifact_uri"), "artifact_uri"),
    status: textOf(field(info, "status"), "status"),
    isActive: field(info, "lifecycle_stage") === "active",
    lastSteps: new Map(keyed(data, "metrics").map(([key, point]) => [key, stepOf(point)])),
    tags: new Map(keyed(data, "tags").map(([key, tag]) => [key, field(tag, "value")])),
  };
}

/** The entries of a list of `{key, …}`, which is left out when it is empty. */
function keyed(data: object, name: string): [string, unknown][] {
  const list = (data as Record<string, unknown>)[name];
  return Array.isArray(list) ? list.map((entry: unknown) => [textOf(field(entry, "key"), "key"), entry]) : [];
}

/** A step of 0 is left out by some servers. */
function stepOf(point: unknown): number {
  const step = Number((point as { step?: unknown } | null)?.step ?? 0);
  if (!Number.isSafeInteger(step)) throw new MlflowError("away", "answers with a step that is no whole number");
  return step;
}

function field(value: unknown, name: string): unknown {
  if (typeof value === "object" && value !== null && Object.hasOwn(value, name)) return (value as Record<string, unknown>)[name];
  throw new MlflowError("away", `answers with JSON that isn't MLflow's (no ${name})`);
}

function textOf(value: unknown, name: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw new MlflowError("away", `answers with JSON that isn't MLflow's (${name} is no text)`);
}
