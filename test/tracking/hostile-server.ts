/** A small server that answers as it is told, right or wrong, and remembers what it was asked. Not MLflow: what it keeps is only what it was sent. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: string;
  readonly time: number;
}

/** What is done with one request; undefined: it is answered as MLflow would. */
export type Mischief = (asked: Asked, response: ServerResponse, request: IncomingMessage) => "done" | undefined;

interface Batch {
  readonly metrics?: readonly { key: string; step: number }[];
  readonly params?: readonly { key: string; value: string }[];
}

export class HostileServer {
  readonly asked: Asked[] = [];
  readonly files = new Map<string, string>();
  readonly points: { key: string; step: number }[] = [];
  readonly statuses: string[] = [];
  mischief: Mischief = () => undefined;
  readonly #server: Server = createServer((request, response) => void this.#serve(request, response));

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
  }

  get uri(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** The steps that arrived under a key, in order of arrival. */
  stepsOf(key: string): number[] {
    return this.points.filter((point) => point.key === key).map(({ step }) => step);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = "";
    try {
      for await (const chunk of request) body += String(chunk);
    } catch {
      return;
    }
    const { method = "", url = "" } = request;
    const asked = { method, path: url, authorization: request.headers.authorization, body, time: performance.now() };
    this.asked.push(asked);
    if (this.mischief(asked, response, request) === "done") return;
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(this.#answer(asked)));
  }

  #answer({ path, body }: Asked): unknown {
    const endpoint = /\/api\/2\.0\/(?:mlflow\/)?([^?]*)/.exec(path)?.[1] ?? "";
    const sent = body === "" || endpoint.startsWith("mlflow-artifacts/") ? {} : (JSON.parse(body) as Batch & { status?: string });
    const info = {
      run_id: "a".repeat(32),
      experiment_id: "1",
      status: this.statuses.at(-1) ?? "RUNNING",
      lifecycle_stage: "active",
      artifact_uri: "mlflow-artifacts:/1/a/artifacts",
    };
    if (endpoint === "experiments/get-by-name") return { experiment: { experiment_id: "1", lifecycle_stage: "active" } };
    if (endpoint === "runs/search") return {};
    if (endpoint === "metrics/get-history") {
      const key = new URLSearchParams(path.split("?")[1]).get("metric_key");
      return { metrics: this.points.filter((point) => point.key === key) };
    }
    if (endpoint === "runs/create" || endpoint === "runs/get") {
      const last = new Map(this.points.map(({ key, step }) => [key, step]));
      return { run: { info, data: { metrics: [...last].map(([key, step]) => ({ key, step, value: 0 })) } } };
    }
    if (endpoint === "runs/log-batch") this.points.push(...(sent.metrics ?? []));
    if (endpoint === "runs/update") this.statuses.push(sent.status ?? "");
    if (endpoint.startsWith("mlflow-artifacts/")) this.files.set(decodeURIComponent(endpoint), body);
    return {};
  }
}
