/**
 * One HTTP request to an MLflow server and its answer: JSON or bytes out, JSON in, with authentication, TLS, proxies and time limits. It knows no endpoint (mlflow-client.ts) and tries nothing again (the caller
 * knows what may be sent twice). Two traps: a proxy's login page is an answer with status 200, so what isn't JSON counts as no answer; and redirects aren't followed, they would carry the password elsewhere.
 */
import { createReadStream, statSync } from "node:fs";
import { Readable } from "node:stream";
import { Agent, EnvHttpProxyAgent, request, type Dispatcher } from "undici";
import { withoutPasswords } from "../errors.js";
import { describeCode } from "./tls-fault.js";

/** Where the server is and how it is reached. Holds passwords: only messages made here may speak of it. */
export interface MlflowServer {
  /** Without user and password, without a slash at the end. */
  readonly uri: string;
  /** Value of the Authorization header. */
  readonly authorization: string | undefined;
  /** Texts that no message may hold. */
  readonly secrets: readonly string[];
  /** PEM texts. */
  readonly tls: { readonly insecure: boolean; readonly authority: string | undefined; readonly clientCertificate: string | undefined };
  readonly proxy: { readonly http: string | undefined; readonly https: string | undefined; readonly except: string | undefined };
  /** Longest that a request may take, in milliseconds; with a file, longest that nothing of it moves. */
  readonly timeout: number;
}

/** `away`: no answer, or one that a later try may better. `refused`: the server understood and said no. */
export class MlflowError extends Error {
  override readonly name = "MlflowError";
  readonly kind: "away" | "refused";
  /** MLflow's own word, `RESOURCE_DOES_NOT_EXIST`. */
  readonly code: string | undefined;
  /** Milliseconds that the server asks to be left alone. */
  readonly retryAfter: number | undefined;

  constructor(kind: "away" | "refused", message: string, { code, retryAfter }: { code?: string; retryAfter?: number | undefined } = {}) {
    super(message);
    this.kind = kind;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

export interface Exchange {
  readonly method: "GET" | "POST" | "PUT";
  /** Below the server's address, percent-encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  /** A file that is sent as it is, in place of JSON. */
  readonly file?: string;
}

/** What MLflow's own client tries again. */
const TRY_AGAIN = new Set([408, 429, 500, 502, 503, 504]);
/** No answer of MLflow's is longer; an endless one must not fill the memory. */
const LONGEST_ANSWER = 64 * 1024 * 1024;
/** Longest that a server's Retry-After is obeyed. */
const LONGEST_PAUSE = 300_000;

export class MlflowTransport {
  readonly #server: MlflowServer;
  readonly #dispatcher: Dispatcher;

  constructor(server: MlflowServer) {
    this.#server = server;
    this.#dispatcher = dispatcherOf(server);
  }

  get uri(): string {
    return this.#server.uri;
  }

  /**
   * Sends and gives back the answer's JSON (undefined for an empty one).
   *
   * @throws MlflowError; whatever `signal` is aborted with
   */
  async send(exchange: Exchange, signal: AbortSignal): Promise<unknown> {
    const silence = new SilenceAlarm(this.#server.timeout);
    try {
      signal.throwIfAborted();
      const { statusCode, headers, body } = await request(this.#address(exchange), {
        method: exchange.method,
        dispatcher: this.#dispatcher,
        signal: AbortSignal.any([signal, silence.signal]),
        ...this.#content(exchange, silence),
        headersTimeout: 0,
        bodyTimeout: 0,
      });
      const text = await wholeText(body);
      return this.#judged(statusCode, headers, text);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof MlflowError) throw error;
      throw new MlflowError("away", this.#safe(`no answer (${silence.signal.aborted ? silence.reason : reasonOf(error, this.uri)})`));
    } finally {
      silence.stop();
    }
  }

  /** Ends open connections at once. */
  async close(): Promise<void> {
    await this.#dispatcher.destroy();
  }

  #address({ path, query }: Exchange): string {
    const words = query === undefined ? "" : `?${new URLSearchParams(query).toString()}`;
    return `${this.#server.uri}/${path}${words}`;
  }

  #content({ json, file }: Exchange, silence: SilenceAlarm): { headers: Record<string, string>; body?: string | Readable } {
    const { authorization } = this.#server;
    const own = { accept: "application/json", "user-agent": "tandem", ...(authorization === undefined ? {} : { authorization }) };
    if (file === undefined)
      return { headers: { ...own, "content-type": "application/json" }, ...(json === undefined ? {} : { body: JSON.stringify(json) }) };
    const length = statSync(file).size;
    return {
      headers: { ...own, "content-type": "application/octet-stream", "content-length": String(length) },
      body: length === 0 ? "" : Readable.from(fileBytes(file, length, silence)),
    };
  }

  #judged(status: number, headers: Record<string, string | string[] | undefined>, text: string): unknown {
    if (status >= 300 && status < 400)
      throw new MlflowError("away", `redirects elsewhere (status ${status}); give the address that it redirects to`);
    const answer = jsonOf(text);
    const isJson = answer !== NO_JSON;
    const { error_code: code, message } =
      isJson && typeof answer === "object" && answer !== null ? (answer as Record<string, unknown>) : {};
    if (status >= 200 && status < 300) {
      if (isJson) return answer;
      throw new MlflowError("away", `answers with something else than JSON (${this.#excerpt(text)})`);
    }
    const said = typeof message === "string" ? message : isJson ? "" : text;
    const words = [`status ${status}`, typeof code === "string" ? code : "", this.#excerpt(said)].filter((word) => word !== "").join(", ");
    const mayBetter = TRY_AGAIN.has(status) || (!isJson && status !== 401 && status !== 403 && status !== 413);
    const retryAfter = pauseOf(headers["retry-after"]);
    throw new MlflowError(mayBetter ? "away" : "refused", words, { ...(typeof code === "string" ? { code } : {}), retryAfter });
  }

  /** A stranger's text for a message: one short line without control characters or secrets. */
  #excerpt(text: string): string {
    const line = text
      .replace(/<[^>]*>/g, " ")
      .replace(/[\s\p{Cc}]+/gu, " ")
      .trim();
    const short = Array.from(line.slice(0, 600)).slice(0, 200).join("");
    return this.#safe(short.length < line.length ? `${short}…` : short);
  }

  #safe(text: string): string {
    return withoutPasswords(this.#server.secrets.reduce((safe, secret) => safe.replaceAll(secret, "***"), text));
  }
}

/** Rings after so long, counted anew with each piece of a file that left: a slow upload goes on, a hanging socket and an answer of a byte now and then don't. */
class SilenceAlarm {
  readonly #controller = new AbortController();
  readonly #limit: number;
  #timer: NodeJS.Timeout;

  constructor(limit: number) {
    this.#limit = limit;
    this.#timer = setTimeout(() => this.#controller.abort(), limit);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get reason(): string {
    return `not within ${this.#limit / 1000} s`;
  }

  moved(): void {
    this.#timer.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

function dispatcherOf({ tls, proxy }: MlflowServer): Dispatcher {
  const { authority, clientCertificate } = tls;
  const secured = {
    rejectUnauthorized: !tls.insecure,
    ...(authority === undefined ? {} : { ca: authority }),
    ...(clientCertificate === undefined ? {} : { cert: clientCertificate, key: clientCertificate }),
  };
  if (proxy.http === undefined && proxy.https === undefined) return new Agent({ connect: secured });
  return new EnvHttpProxyAgent({
    connect: secured,
    requestTls: secured,
    noProxy: proxy.except ?? "",
    ...(proxy.http === undefined ? {} : { httpProxy: proxy.http }),
    ...(proxy.https === undefined ? {} : { httpsProxy: proxy.https }),
  });
}

/** Exactly the first `length` bytes: the file may grow while it is sent. */
async function* fileBytes(file: string, length: number, silence: SilenceAlarm): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of createReadStream(file, { end: length - 1 })) {
    silence.moved();
    yield chunk as Uint8Array;
  }
}

async function wholeText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > LONGEST_ANSWER) throw new MlflowError("away", `answers with more than ${LONGEST_ANSWER} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

const NO_JSON = Symbol("no JSON");

function jsonOf(text: string): unknown {
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return NO_JSON;
  }
}

/** Retry-After in seconds or as a date. */
function pauseOf(header: string | string[] | undefined): number | undefined {
  if (typeof header !== "string") return undefined;
  const pause = /^\s*\d+\s*$/.test(header) ? 1000 * Number(header) : Date.parse(header) - Date.now();
  return Number.isFinite(pause) ? Math.min(Math.max(0, pause), LONGEST_PAUSE) : undefined;
}

/** `ECONNREFUSED` with its meaning where that mends something, or the shortest that says why. */
function reasonOf(error: unknown, uri: string): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  if (code !== undefined) return describeCode(code, uri);
  return error.cause instanceof Error ? reasonOf(error.cause, uri) : error.message;
}
