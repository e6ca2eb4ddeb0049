/**
 * A real browser for tests that look at a page: Chromium without a window, spoken to over a pipe in its DevTools protocol. Where none is installed, `missingBrowser` says so and the tests that need one are
 * skipped with that reason in their title. `TANDEM_BROWSER` names another one.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Readable, Writable } from "node:stream";

const NAMES = [process.env["TANDEM_BROWSER"] ?? "", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const browser = NAMES.find((name) => name !== "" && spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0);

/** Why there is no browser, or undefined when there is one. */
export const missingBrowser = browser === undefined ? "no Chromium; apt-get install chromium" : undefined;

export interface Browser {
  /** One command of the protocol. */
  send(method: string, parameters?: object): Promise<Record<string, unknown>>;
  /** Opens a page and waits until it is loaded. */
  open(url: string): Promise<void>;
  /** The value of an expression in the page. */
  evaluate(expression: string): Promise<unknown>;
  /** What the page wrote to its console and what its policy refused. */
  readonly complaints: string[];
  close(): Promise<void>;
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

/** Starts a browser with one empty page. */
export async function openBrowser(): Promise<Browser> {
  const profile = mkdtempSync(path.join(tmpdir(), "tandem-browser-"));
  const options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", `--user-data-dir=${profile}`];
  const child: ChildProcess = spawn(browser ?? "", options, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
  const input = child.stdio[3] as Writable;
  const waiting = new Map<number, (message: Message) => void>();
  const events: ((message: Message) => void)[] = [];
  messages(child.stdio[4] as Readable, (message) => {
    if (message.id === undefined) for (const listen of events) listen(message);
    else waiting.get(message.id)?.(message);
  });
  let next = 0;
  const send = (method: string, parameters: object = {}, sessionId?: string): Promise<Record<string, unknown>> =>
    new Promise((resolve, reject) => {
      const id = ++next;
      waiting.set(id, ({ result, error }) => {
        if (error === undefined) resolve(result ?? {});
        else reject(new Error(`${method}: ${error.message}`));
      });
      input.write(`${JSON.stringify({ id, method, params: parameters, ...(sessionId === undefined ? {} : { sessionId }) })}\0`);
    });
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = (await send("Target.attachToTarget", { targetId, flatten: true })) as { sessionId: string };
  const own = (method: string, parameters: object = {}): Promise<Record<string, unknown>> => send(method, parameters, sessionId);
  const complaints: string[] = [];
  events.push(({ method, params }) => {
    if (method === "Log.entryAdded" || method === "Runtime.consoleAPICalled") complaints.push(JSON.stringify(params));
  });
  for (const domain of ["Page", "Log", "Runtime"]) await own(`${domain}.enable`);
  return {
    send: own,
    complaints,
    open: async (url) => {
      const loaded = new Promise<void>((resolve) =>
        events.push(({ method }) => (method === "Page.loadEventFired" ? resolve() : undefined)),
      );
      await own("Page.navigate", { url });
      await loaded;
    },
    evaluate: async (expression) => {
      const { result } = await own("Runtime.evaluate", { expression, returnByValue: true });
      return (result as { value?: unknown }).value;
    },
    close: async () => {
      const ended = new Promise((resolve) => child.once("close", resolve));
      child.kill("SIGKILL");
      await ended;
      rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}

/** Messages end with a zero byte. */
function messages(stream: Readable, tell: (message: Message) => void): void {
  let rest = Buffer.alloc(0);
  stream.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(0); end >= 0; end = rest.indexOf(0)) {
      tell(JSON.parse(rest.subarray(0, end).toString("utf8")) as Message);
      rest = rest.subarray(end + 1);
    }
  });
}
