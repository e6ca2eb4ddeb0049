/**
 * A real MLflow server: its own database and artefact folder, a free port, killed at the end. `kill` and `start` again keep the data and the port. Not a test: used by those that talk to it. Where there is no Python
 * with mlflow they are skipped, and say so.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const python = process.env["TANDEM_MLFLOW_PYTHON"] ?? fileURLToPath(new URL("../../.venv-mlflow/bin/python", import.meta.url));

/** Why tests against a real server can't run, or undefined when they can. */
export const mlflowMissing = ((): string | undefined => {
  if (!existsSync(python)) return `no Python with mlflow at ${python}: run bash scripts/test.sh, or set TANDEM_MLFLOW_PYTHON`;
  const found = spawnSync(python, ["-c", "import importlib.util as u; assert u.find_spec('mlflow')"]);
  return found.status === 0 ? undefined : `${python} lacks mlflow`;
})();

/** Loading mlflow takes some ten seconds, more on a busy machine. */
const PATIENCE = 180_000;

export interface Point {
  readonly key: string;
  readonly value: number | string;
  readonly timestamp: number;
  readonly step: number;
}

interface Listed<Entry> {
  readonly runs?: readonly Entry[];
  readonly metrics?: readonly Point[];
  readonly files?: readonly { path: string; is_dir: boolean }[];
}

export interface SeenRun {
  readonly info: {
    readonly run_id: string;
    readonly run_name: string;
    readonly status: string;
    readonly end_time?: number;
    readonly artifact_uri: string;
  };
  readonly data: {
    readonly metrics?: readonly Point[];
    readonly params?: readonly { key: string; value: string }[];
    readonly tags?: readonly { key: string; value: string }[];
  };
}

export class RealServer {
  readonly folder = mkdtempSync(path.join(tmpdir(), "tandem-mlflow-"));
  readonly user: string | undefined;
  #port = 0;
  #process: ChildProcess | undefined;
  #log = "";

  /** @param user `name:password` of the administrator, when the server asks for one */
  constructor(user?: string) {
    this.user = user;
  }

  /** Without user and password. */
  get uri(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Starts it, at the same port with the same data as before, and waits until it answers. */
  async start(): Promise<void> {
    if (this.#port === 0) this.#port = await freePort();
    const words = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", String(this.#port), "--workers", "1"];
    const stores = ["--backend-store-uri", `sqlite:///${this.folder}/mlflow.db`, "--artifacts-destination", `${this.folder}/artefacts`];
    const child = spawn(python, [...words, ...stores, ...(this.user === undefined ? [] : ["--app-name", "basic-auth"])], {
      cwd: this.folder,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, OMP_NUM_THREADS: "1", MLFLOW_DISABLE_TELEMETRY: "true", DO_NOT_TRACK: "true", ...this.#authentication() },
    });
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (text: Buffer) => {
        this.#log = `${this.#log}${text.toString()}`.slice(-4000);
      });
    }
    const began = Date.now();
    for (;;) {
      if (await this.#answers()) return;
      if (child.exitCode !== null || Date.now() - began > PATIENCE) throw new Error(`mlflow server doesn't answer: ${this.#log}`);
      await sleep(100);
    }
  }

  /** SIGKILL to the server and its workers, in the middle of whatever they do. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    process.kill(-child.pid, "SIGKILL");
    await gone;
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The runs of an experiment, oldest first; all of them must have been made by tandem. */
  async runs(experiment: string): Promise<readonly SeenRun[]> {
    const found = (await this.#get("experiments/get-by-name", { experiment_name: experiment })) as {
      experiment: { experiment_id: string };
    };
    const body = { experiment_ids: [found.experiment.experiment_id], max_results: 100, order_by: ["attributes.start_time ASC"] };
    return ((await this.call("POST", "runs/search", body)) as Listed<SeenRun>).runs ?? [];
  }

  /** Every point of a metric that the server holds. */
  async history(run: string, key: string): Promise<readonly Point[]> {
    return (
      ((await this.#get("metrics/get-history", { run_id: run, metric_key: key, max_results: "20000" })) as Listed<never>).metrics ?? []
    );
  }

  /** Names of all artefacts of a run. */
  async artefacts(run: string, folder = ""): Promise<string[]> {
    const listed = (await this.#get("artifacts/list", { run_id: run, ...(folder === "" ? {} : { path: folder }) })) as Listed<never>;
    const names: string[] = [];
    for (const entry of listed.files ?? []) names.push(...(entry.is_dir ? await this.artefacts(run, entry.path) : [entry.path]));
    return names.sort();
  }

  async artefact(run: SeenRun, name: string): Promise<string> {
    const place = run.info.artifact_uri.replace("mlflow-artifacts:/", "");
    return (await fetch(`${this.uri}/api/2.0/mlflow-artifacts/artifacts/${place}/${name}`, { headers: this.#headers() })).text();
  }

  async call(method: string, endpoint: string, body?: unknown): Promise<unknown> {
    const answer = await fetch(`${this.uri}/api/2.0/mlflow/${endpoint}`, {
      method,
      headers: { "content-type": "application/json", ...this.#headers() },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${endpoint}: ${answer.status} ${text}`);
    return JSON.parse(text) as unknown;
  }

  #get(endpoint: string, query: Record<string, string>): Promise<unknown> {
    return this.call("GET", `${endpoint}?${new URLSearchParams(query).toString()}`);
  }

  #headers(): Record<string, string> {
    return this.user === undefined ? {} : { authorization: `Basic ${Buffer.from(this.user).toString("base64")}` };
  }

  #authentication(): Record<string, string> {
    if (this.user === undefined) return {};
    const [name = "", password = ""] = this.user.split(":");
    const file = path.join(this.folder, "auth.ini");
    const lines = [
      "[mlflow]",
      "default_permission = READ",
      `database_uri = sqlite:///${this.folder}/auth.db`,
      `admin_username = ${name}`,
      `admin_password = ${password}`,
    ];
    writeFileSync(file, `${lines.join("\n")}\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n`);
    return { MLFLOW_AUTH_CONFIG_PATH: file, MLFLOW_FLASK_SERVER_SECRET_KEY: "a key for this test alone" };
  }

  async #answers(): Promise<boolean> {
    try {
      return (await fetch(`${this.uri}/health`, { headers: this.#headers(), signal: AbortSignal.timeout(2000) })).ok;
    } catch {
      return false;
    }
  }
}

/** A port that nobody has just now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
