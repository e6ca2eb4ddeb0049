/**
 * A synchronous call into the tokenizer library, which has only asynchronous ones: a thread makes the call, and the caller sleeps
 * (`Atomics.wait`) until the ids lie in shared reach. One thread serves all tokenizers of the calling thread, starts at the first call
 * and never keeps the process alive. It works on the main thread and in worker threads (each has its own).
 * The price: about 0.1 ms a call beside the encoding itself, so encode in batches; and the calling thread's events wait meanwhile.
 */
import { createRequire } from "node:module";
import { MessageChannel, receiveMessageOnPort, Worker, type MessagePort } from "node:worker_threads";

/** What the thread is asked: `first[i]` alone, or with `second[i]` as its pair. */
export interface EncodeRequest {
  readonly first: readonly string[];
  readonly second?: readonly string[];
  readonly specialTokens: boolean;
  /** Also return offsets (in code points of the text) and type ids. */
  readonly details: boolean;
}

/** All texts' ids one after another; text i has `lengths[i]` of them. Offsets are pairs, start and end. */
export interface EncodeReply {
  readonly ids: Int32Array;
  readonly lengths: Int32Array;
  readonly offsets?: Int32Array;
  readonly typeIds?: Int32Array;
}

interface Thread {
  readonly worker: Worker;
  readonly port: MessagePort;
  readonly signal: Int32Array;
  readonly loaded: Set<string>;
  requests: number;
}

interface Answer {
  readonly number: number;
  readonly reply?: EncodeReply;
  readonly error?: string;
}

/** Past this the thread is taken for dead: encoding a megabyte takes a quarter of a second. */
const PATIENCE_MS = 600_000;

// Plain JavaScript in a string: a thread can't be started from a TypeScript file, and this way it starts alike from sources and from dist/.
const THREAD_SOURCE = `
const { workerData } = require("node:worker_threads");
const { Tokenizer } = require(workerData.library);
const { port, signal } = workerData;
const loaded = new Map();

async function encode({ key, json, first, second, specialTokens, details }) {
  if (json !== undefined) {
    const fresh = Tokenizer.fromString(json);
    fresh.disableTruncation();
    fresh.disablePadding();
    loaded.set(key, fresh);
  }
  const tokenizer = loaded.get(key);
  const options = { addSpecialTokens: specialTokens };
  // The library's own batch call refuses pairs.
  const encodings = second === undefined
    ? await tokenizer.encodeBatch(first, options)
    : await Promise.all(first.map((text, i) => tokenizer.encode(text, second[i], options)));
  const lists = encodings.map((encoding) => encoding.getIds());
  const lengths = Int32Array.from(lists, (list) => list.length);
  const join = (parts, width) => {
    const joined = new Int32Array(lengths.reduce((sum, length) => sum + length, 0) * width);
    let at = 0;
    for (const part of parts) { joined.set(part, at); at += part.length; }
    return joined;
  };
  const reply = { ids: join(lists, 1), lengths };
  if (details) {
    reply.offsets = join(encodings.map((encoding) => encoding.getOffsets().flat()), 2);
    reply.typeIds = join(encodings.map((encoding) => encoding.getTypeIds()), 1);
  }
  return reply;
}

port.on("message", async (request) => {
  try {
    const reply = await encode(request);
    port.postMessage({ number: request.number, reply }, Object.values(reply).map((array) => array.buffer));
  } catch (error) {
    port.postMessage({ number: request.number, error: String(error.message ?? error) });
  }
  Atomics.add(signal, 0, 1);
  Atomics.notify(signal, 0);
});
`;

let thread: Thread | undefined;

/** Starts the thread before it is needed: it boots beside whatever the caller does next, such as loading libtorch. */
export function startEncoding(): void {
  thread ??= startThread();
}

/**
 * Encodes in the thread and waits for it.
 * @param key names the tokenizer; its `json` (the text of tokenizer.json) is sent over only once.
 * @throws Error what the library said, when it refuses.
 */
export function encodeInThread(key: string, json: string, request: EncodeRequest): EncodeReply {
  thread ??= startThread();
  const { port, signal, loaded } = thread;
  const before = Atomics.load(signal, 0);
  const number = ++thread.requests;
  port.postMessage({ number, key, ...(loaded.has(key) ? {} : { json }), ...request });
  if (Atomics.wait(signal, 0, before, PATIENCE_MS) === "timed-out") {
    thread = undefined; // a late answer must not be taken for the next one's
    throw new Error("the encoding thread doesn't answer");
  }
  const { reply, error } = receiveReply(port, signal, number);
  if (reply === undefined) throw new Error(error ?? "the encoding thread sent nothing");
  loaded.add(key);
  return reply;
}

/**
 * The answer to request `number`. The signal can be seen a moment before the message that it announces (with several threads at work), so
 * an empty port is asked again; the number keeps one request's ids from ever being taken for another's.
 */
function receiveReply(port: MessagePort, signal: Int32Array, number: number): Answer {
  for (let waited = 0; waited < 10_000; waited++) {
    const received = receiveMessageOnPort(port) as { message: Answer } | undefined;
    if (received?.message.number === number) return received.message;
    if (received !== undefined) continue;
    Atomics.wait(signal, 1, 0, 1); // sleeps 1 ms: nobody changes the second place
  }
  return { number };
}

function startThread(): Thread {
  const { port1, port2 } = new MessageChannel();
  const signal = new Int32Array(new SharedArrayBuffer(8));
  const library = createRequire(import.meta.url).resolve("tokenizers");
  const worker = new Worker(THREAD_SOURCE, {
    eval: true,
    execArgv: [], // a loader given to the parent (tsx, a test runner) would slow the start and isn't needed
    workerData: { port: port2, signal, library },
    transferList: [port2],
  });
  worker.unref();
  port1.unref();
  return { worker, port: port1, signal, loaded: new Set(), requests: 0 };
}
