/**
 * A run directory and its MLflow run: finds or makes the one for the other, and sends what the server doesn't hold yet. The run directory is the spool; `tracking.json` says how far it is sent. Everything may be
 * called again after a failure. The trap: after a lost answer or a crash the server may hold more than is noted, under other values than a resumed run has written since; so it is asked which steps it holds, and
 * none is sent a second time.
 */
import { basename } from "node:path";
import { hashJson } from "../storage/content-hash.js";
import { MlflowClient, type KeyValue, type MetricPoint, type ServerState, type ServerRun } from "./mlflow-client.js";
import { batches, MOST_METRICS, MOST_PARAMETERS, MOST_TAGS } from "./mlflow-limits.js";
import { fileMark, ReportStream, TrainingStream, ValidationStream, type MetricStream } from "./metric-streams.js";
import { MlflowError } from "./mlflow-transport.js";
import { runArtefacts, type ArtefactChoice } from "./run-artefacts.js";
import type { RunDirectory } from "./run-directory.js";
import { IDENTITY_TAG, runIdentity, runParameters, runTags } from "./run-labels.js";
import {
  newServerCursor,
  readCursor,
  STREAMS,
  writeCursor,
  type ServerCursor,
  type StreamName,
  type TrackingCursor,
} from "./tracking-cursor.js";

/** Which MLflow run a run directory becomes, and what of it is sent. */
export interface TrackedRun {
  readonly experiment: { readonly name: string } | { readonly id: string };
  /** An MLflow run to go on with in place of a new one. */
  readonly runId: string | undefined;
  /** null: the run directory's name. */
  readonly name: string | null;
  readonly tags: Readonly<Record<string, unknown>>;
  readonly artefacts: ArtefactChoice;
  /** When the run began, in milliseconds since 1970. */
  readonly start: number;
}

export type Say = (type: "note" | "warning", text: string) => void;

/** What MLflow says when one item of a batch is wrong; the others can be sent without it. */
const ITEM_REFUSED = new Set(["INVALID_PARAMETER_VALUE", "BAD_REQUEST"]);

export class MlflowRun {
  readonly #run: RunDirectory;
  readonly #client: MlflowClient;
  readonly #options: TrackedRun;
  readonly #say: Say;
  readonly #streams: Readonly<Record<StreamName, MetricStream>>;
  readonly #said = new Set<string>();
  readonly #refusedFiles = new Set<string>();
  #cursor: TrackingCursor = { servers: [] };
  #place: ServerCursor | undefined;
  #lastSteps: ReadonlyMap<string, number> = new Map();
  readonly #held = new Map<string, Set<number>>();
  /** What was sent since this object was made. */
  readonly sent = { points: 0, files: 0 };

  constructor(run: RunDirectory, client: MlflowClient, options: TrackedRun, say: Say) {
    this.#run = run;
    this.#client = client;
    this.#options = options;
    this.#say = say;
    const training = new TrainingStream(run);
    this.#streams = { training, validation: new ValidationStream(run), report: new ReportStream(run, () => training.lastStep) };
  }

  /** Where a browser finds the run; undefined before the first answer. */
  get address(): string | undefined {
    const place = this.#place;
    return place === undefined ? undefined : `${this.#client.uri}/#/experiments/${place.experimentId}/runs/${place.runId}`;
  }

  /**
   * Finds the MLflow run of this run directory, or makes it, and learns what it holds. To be called first, and again after each failure.
   *
   * @param isLive whether the run goes on, so that a stopped one is running again
   * @throws MlflowError; UserError when a file of the run directory can't be read
   */
  async connect(isLive: boolean, signal: AbortSignal): Promise<void> {
    this.#cursor = readCursor(this.#run.path);
    for (const name of STREAMS) this.#streams[name].rewind();
    this.#held.clear();
    const { run, place } = await this.#findOrMake(signal);
    if (!run.isActive)
      throw new MlflowError(
        "refused",
        `the MLflow run ${run.id} is deleted there; restore it, or remove ${this.#run.path}/tracking.json for a new one`,
      );
    this.#place = place;
    this.#lastSteps = run.lastSteps;
    if (isLive && run.status !== "RUNNING") await this.#client.updateRun(run.id, { status: "RUNNING" }, signal);
    if (isLive) this.#note((own) => (own.status = "RUNNING"));
  }

  /** Sends what has come since: parameters and tags, metrics, files. @throws MlflowError; UserError for a file of the run directory that can't be read */
  async sendNew(signal: AbortSignal): Promise<void> {
    await this.#describe(signal);
    for (const name of STREAMS) await this.#sendStream(name, signal);
    await this.#sendFiles(signal);
  }

  /** Tells the server how the run ended. @throws MlflowError */
  async settle(status: ServerState, end: number | undefined, signal: AbortSignal): Promise<void> {
    const { runId } = this.#own();
    await this.#client.updateRun(runId, { status, ...(end === undefined ? {} : { end }) }, signal);
    this.#note((own) => (own.status = status));
  }

  async #findOrMake(signal: AbortSignal): Promise<{ run: ServerRun; place: ServerCursor }> {
    const { uri } = this.#client;
    const known = this.#cursor.servers.find((server) => server.uri === uri);
    if (known !== undefined) {
      const run = await this.#client.run(known.runId, signal);
      if (run !== undefined) return { run, place: known };
      throw new MlflowError(
        "refused",
        `has no run ${known.runId} any more; remove ${this.#run.path}/tracking.json to send this run as a new one`,
      );
    }
    const made = await this.#sameServer(signal);
    if (made !== undefined) return made;
    const run = (await this.#tagged(signal)) ?? (await this.#wanted(signal)) ?? (await this.#created(signal));
    return {
      run,
      place: this.#remember(newServerCursor({ uri, experimentId: run.experimentId, runId: run.id, artefactUri: run.artefactUri })),
    };
  }

  /** A server that was known under another address has the run already. */
  async #sameServer(signal: AbortSignal): Promise<{ run: ServerRun; place: ServerCursor } | undefined> {
    const identity = runIdentity(this.#run);
    for (const other of this.#cursor.servers) {
      const run = await this.#client.run(other.runId, signal);
      if (run?.tags.get(IDENTITY_TAG) === identity)
        return { run, place: this.#remember({ ...structuredClone(other), uri: this.#client.uri }) };
    }
    return undefined;
  }

  /** A run that was made for this run directory by a process that died before it could note it. */
  async #tagged(signal: AbortSignal): Promise<ServerRun | undefined> {
    return this.#client.runTagged(await this.#experiment(signal), { key: IDENTITY_TAG, value: runIdentity(this.#run) }, signal);
  }

  async #wanted(signal: AbortSignal): Promise<ServerRun | undefined> {
    const { runId } = this.#options;
    if (runId === undefined) return undefined;
    const run = await this.#client.run(runId, signal);
    if (run === undefined) throw new MlflowError("refused", `has no run ${runId} (MLFLOW_RUN_ID)`);
    const owner = run.tags.get(IDENTITY_TAG);
    if (owner === undefined || owner === runIdentity(this.#run)) return run;
    this.#sayOnce("warning", `MLFLOW_RUN_ID: the run ${runId} holds another run's numbers already; this one gets a run of its own`);
    return undefined;
  }

  async #created(signal: AbortSignal): Promise<ServerRun> {
    const { name, start, tags } = this.#options;
    const description = { name: name ?? basename(this.#run.path), start, tags: runTags(this.#run, tags).slice(0, MOST_TAGS) };
    return this.#client.createRun({ experimentId: await this.#experiment(signal), ...description }, signal);
  }

  async #experiment(signal: AbortSignal): Promise<string> {
    const { experiment } = this.#options;
    return "id" in experiment ? experiment.id : this.#client.experiment(experiment.name, signal);
  }

  async #describe(signal: AbortSignal): Promise<void> {
    const { parameters, cut } = runParameters(this.#run);
    const tags = runTags(this.#run, this.#options.tags);
    const hash = hashJson({ parameters, tags });
    const { runId, described } = this.#own();
    if (hash === described) return;
    if (cut.length > 0)
      this.#sayOnce(
        "warning",
        `tracking: ${cut.join(", ")}: longer than an MLflow parameter can be and cut there; whole in the artefact config.yaml`,
      );
    const send = (kind: "params" | "tags") => (some: readonly KeyValue[]) => this.#client.logBatch(runId, { [kind]: some }, signal);
    await this.#sendEach(parameters, MOST_PARAMETERS, send("params"), ({ key }) => `parameter ${key}`, signal);
    await this.#sendEach(tags, MOST_TAGS, send("tags"), ({ key }) => `tag ${key}`, signal);
    this.#note((own) => (own.described = hash));
  }

  async #sendStream(name: StreamName, signal: AbortSignal): Promise<void> {
    let waiting: MetricPoint[] = [];
    let last = this.#own().steps[name];
    const flush = async (): Promise<void> => {
      if (waiting.length > 0) await this.#sendPoints(waiting, signal);
      waiting = [];
      if (last > this.#own().steps[name]) this.#note((own) => (own.steps[name] = last));
    };
    for await (const { step, points } of this.#streams[name].newSteps()) {
      if (step <= last) continue;
      const isNew = await Promise.all(points.map((point) => this.#isNew(point, this.#own().steps[name], signal)));
      const fresh = points.filter((_, index) => isNew[index]);
      if (waiting.length + fresh.length > MOST_METRICS) await flush();
      waiting.push(...fresh);
      last = step;
    }
    await flush();
  }

  /** Whether the server lacks the point, going by its key and step: after a resume the same step may have another time. */
  async #isNew({ key, step }: MetricPoint, acknowledged: number, signal: AbortSignal): Promise<boolean> {
    if ((this.#lastSteps.get(key) ?? -1) < step) return true;
    const known = this.#held.get(key) ?? (await this.#client.metricSteps(this.#own().runId, key, acknowledged, signal));
    this.#held.set(key, known);
    return !known.has(step);
  }

  async #sendPoints(points: readonly MetricPoint[], signal: AbortSignal): Promise<void> {
    const { runId } = this.#own();
    const send = (metrics: readonly MetricPoint[]): Promise<void> => this.#client.logBatch(runId, { metrics }, signal);
    await this.#sendEach(points, MOST_METRICS, send, ({ key }) => `metric ${key}`, signal);
    this.sent.points += points.length;
  }

  /** Sends in batches; where one is refused for an item's sake, all but that item. */
  async #sendEach<Item>(
    items: readonly Item[],
    most: number,
    send: (some: readonly Item[]) => Promise<void>,
    nameOf: (item: Item) => string,
    signal: AbortSignal,
  ): Promise<void> {
    for (const batch of batches(items, most)) {
      try {
        await send(batch);
      } catch (error) {
        if (!(error instanceof MlflowError) || error.kind !== "refused" || !ITEM_REFUSED.has(error.code ?? "")) throw error;
        if ((await this.#client.run(this.#own().runId, signal))?.isActive !== true) throw error;
        const [only] = batch;
        if (batch.length === 1 && only !== undefined)
          this.#sayOnce("warning", `tracking: ${nameOf(only)} is refused (${error.message}) and left out`);
        else await this.#sendEach(batch, Math.ceil(batch.length / 2), send, nameOf, signal);
      }
    }
  }

  async #sendFiles(signal: AbortSignal): Promise<void> {
    const { artefactUri, artefacts } = this.#own();
    const files = runArtefacts(this.#run, this.#options.artefacts);
    if (files.length > 0 && !MlflowClient.takesFiles(artefactUri)) {
      const what = `tracking: the server keeps artefacts at ${artefactUri}, outside of itself: no files are sent`;
      this.#sayOnce("warning", `${what}; start it with --serve-artifacts and --artifacts-destination`);
      return;
    }
    for (const { name, file } of files) {
      const mark = fileMark(file);
      if (mark === undefined || artefacts[name] === mark || this.#refusedFiles.has(name)) continue;
      try {
        await this.#client.putFile(artefactUri, name, file, signal);
        this.sent.files++;
        this.#note((own) => (own.artefacts[name] = mark));
      } catch (error) {
        if (!(error instanceof MlflowError) || error.kind !== "refused") throw error;
        this.#refusedFiles.add(name);
        this.#sayOnce("warning", `tracking: artefact ${name} is refused (${error.message}) and left out`);
      }
    }
  }

  #remember(place: ServerCursor): ServerCursor {
    this.#cursor.servers.push(place);
    writeCursor(this.#run.path, this.#cursor);
    return place;
  }

  #note(change: (own: ServerCursor) => void): void {
    change(this.#own());
    writeCursor(this.#run.path, this.#cursor);
  }

  #own(): ServerCursor {
    if (this.#place === undefined) throw new Error("connect() comes first");
    return this.#place;
  }

  #sayOnce(type: "note" | "warning", text: string): void {
    if (this.#said.has(text)) return;
    this.#said.add(text);
    this.#say(type, text);
  }
}
