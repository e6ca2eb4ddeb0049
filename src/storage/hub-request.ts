/**
 * One request to the model hub over plain HTTP: redirects, token, proxy, patience, and what a refusal means. It knows nothing of files and caches: see hub-download.ts and hub-cache.ts.
 * The trap: the token goes to the endpoint's own origin and nowhere else. Large files are redirected to other hosts, so redirects are followed here, hop by hop, and never by `fetch`.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Agent, EnvHttpProxyAgent, fetch, type Dispatcher, type Headers, type Response } from "undici";
import { UserError } from "../errors.js";

/** Where the hub is and how it is asked. */
export interface HubAccess {
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly token?: string;
  /** Milliseconds without a byte until a connection is given up. */
  readonly timeout: number;
  /** Milliseconds before the first repetition; doubled each time. */
  readonly pause: number;
  readonly proxy?: HubProxy;
}

/** The way to the hub. Addresses may hold passwords: no message shows them. */
interface HubProxy {
  /** For `http://`; empty: none. */
  readonly http: string;
  /** For `https://`; empty: the one for `http://`. */
  readonly https: string;
  /** Hosts and domains that are reached without, parted by commas; `*`: all. */
  readonly except: string;
}

/** No answer that says anything about the model: no network, a server that is down, a connection cut. The cache may stand in. */
export class HubUnreachable extends UserError {
  override readonly name = "HubUnreachable";
}

export interface HubRequest {
  readonly method?: "GET" | "HEAD";
  readonly headers?: Readonly<Record<string, string>>;
  /** How often it is asked before the hub counts as unreachable. Default 3. */
  readonly attempts?: number;
}

/** An answer with its body not yet read. */
export interface HubAnswer {
  readonly status: number;
  /** The answer's header, or that of a redirect before it: the hub says a large file's hash and size only there. */
  header(name: string): string | undefined;
  /** Bytes of the body, as the answer's own header says; a redirect's is not the file's. */
  readonly length: string | undefined;
  /** Pieces of the body. @throws HubUnreachable when the connection breaks off or nothing comes for too long */
  body(): AsyncGenerator<Uint8Array, void, undefined>;
  /** Ends the connection. To be called when the body isn't wanted. */
  close(): void;
}

const HOPS = 10;
const REPEATED = [408, 429, 500, 502, 503, 504];
/** The longest that a server may ask us to wait, in milliseconds. */
const LONGEST_PAUSE = 60_000;

/**
 * Asks the hub. Redirects are followed; a `HEAD` stops at one that leaves the endpoint, whose headers say all.
 *
 * @param address an absolute URL below the endpoint
 * @throws HubUnreachable when nothing but failures came after all attempts
 */
export async function askHub(hub: HubAccess, address: string, request: HubRequest = {}): Promise<HubAnswer> {
  const attempts = request.attempts ?? 3;
  for (let attempt = 1; ; attempt++) {
    let reason: string;
    let wait = hub.pause * 2 ** (attempt - 1);
    try {
      const answer = await follow(hub, address, request);
      if (!REPEATED.includes(answer.status)) return answer;
      answer.close();
      reason = `status ${answer.status}`;
      const asked = Number(answer.header("retry-after") ?? "0") * 1000;
      if (asked > 0) wait = Math.min(asked, LONGEST_PAUSE);
    } catch (error) {
      if (error instanceof UserError && !(error instanceof HubUnreachable)) throw error;
      reason = error instanceof HubUnreachable ? (error.fault.got ?? error.fault.what) : causeOf(error);
    }
    if (attempt >= attempts) throw unreachable(hub, reason);
    await sleep(wait);
  }
}

/** The one line for a hub that can't be reached. */
function unreachable({ endpoint, proxy }: HubAccess, reason: string): HubUnreachable {
  return new HubUnreachable({
    where: endpoint,
    what: "the hub can't be reached",
    got: proxy === undefined ? reason : `${reason}, with HTTP_PROXY or HTTPS_PROXY set`,
    remedy: "check the network and HF_ENDPOINT",
  });
}

/** The connections of each setting, reused while it lives: a model is a dozen requests. */
const dispatchers = new WeakMap<HubAccess, Dispatcher>();

function dispatcherOf(hub: HubAccess): Dispatcher {
  const known = dispatchers.get(hub);
  if (known !== undefined) return known;
  // The watch alone says when a server is silent for too long.
  const patience = { headersTimeout: 0, bodyTimeout: 0, connect: { timeout: hub.timeout } };
  const { proxy } = hub;
  const made =
    proxy === undefined
      ? new Agent(patience)
      : // Without a tunnel for http://: proxies commonly open tunnels to port 443 alone.
        new EnvHttpProxyAgent({ ...patience, proxyTunnel: false, httpProxy: proxy.http, httpsProxy: proxy.https, noProxy: proxy.except });
  dispatchers.set(hub, made);
  return made;
}

async function follow(hub: HubAccess, address: string, { method = "GET", headers = {} }: HubRequest): Promise<HubAnswer> {
  const watch = new Watch(hub.timeout);
  const passed: Headers[] = [];
  let url = new URL(address);
  try {
    for (let hop = 0; hop <= HOPS; hop++) {
      const own = url.origin === new URL(hub.endpoint).origin;
      const authorization: Record<string, string> = own && hub.token !== undefined ? { authorization: `Bearer ${hub.token}` } : {};
      const response = await fetch(url, {
        method,
        dispatcher: dispatcherOf(hub),
        redirect: "manual",
        signal: watch.signal,
        headers: { ...headers, ...authorization, "accept-encoding": "identity", "user-agent": "tandem" },
      });
      passed.push(response.headers);
      const next = nextHop(response, url);
      const isLeaving = method === "HEAD" && next !== undefined && next.origin !== new URL(hub.endpoint).origin;
      if (next === undefined || isLeaving) return answerOf(hub, response, isLeaving ? 200 : response.status, passed, watch);
      await response.body?.cancel();
      url = next;
    }
  } catch (error) {
    watch.stop();
    throw error;
  }
  watch.stop();
  throw unreachable(hub, `more than ${HOPS} redirects`);
}

function isRedirect({ status }: Response): boolean {
  return [301, 302, 303, 307, 308].includes(status);
}

function nextHop(response: Response, from: URL): URL | undefined {
  const location = response.headers.get("location");
  if (!isRedirect(response) || location === null || !URL.canParse(location, from.href)) return undefined;
  const next = new URL(location, from);
  return /^https?:$/.test(next.protocol) && next.username + next.password === "" ? next : undefined;
}

function answerOf(hub: HubAccess, response: Response, status: number, passed: readonly Headers[], watch: Watch): HubAnswer {
  const close = (): void => {
    watch.stop();
    response.body?.cancel().catch(() => undefined);
  };
  return {
    status,
    header: (name) => response.headers.get(name) ?? passed.map((headers) => headers.get(name)).find((value) => value !== null) ?? undefined,
    length: isRedirect(response) ? undefined : (response.headers.get("content-length") ?? undefined),
    close,
    body: async function* () {
      try {
        watch.touch();
        for await (const piece of response.body ?? []) {
          watch.touch();
          yield piece as Uint8Array;
          // Writing may take longer than the server may be silent.
          watch.touch();
        }
      } catch (error) {
        throw unreachable(hub, causeOf(error));
      } finally {
        close();
      }
    },
  };
}

/** Gives a connection up when nothing has come for a while. */
class Watch {
  readonly #controller = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor(readonly patience: number) {
    this.touch();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  touch(): void {
    this.stop();
    this.#timer = setTimeout(() => this.#controller.abort(new Error(`nothing came for ${this.patience / 1000} s`)), this.patience);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

/** What lies under fetch's "fetch failed": a code of the system's or a sentence. Never a header, never an address with its query. */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  if (error.cause instanceof Error) return causeOf(error.cause);
  const [, refused] = /^Proxy response \((\d+)\)/.exec(error.message) ?? [];
  if (refused !== undefined) return `status ${refused} of the proxy`;
  const { code } = error as NodeJS.ErrnoException;
  return typeof code === "string" && code !== "" && !code.startsWith("UND_ERR") ? code : error.message;
}
