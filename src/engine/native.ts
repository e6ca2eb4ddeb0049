/**
 * The border to the libtorch add-on: its whole surface, typed once, and its only loader. Not for use outside `src/engine`. The trap: handles are plain
 * numbers; only {@link import("./tensor.js").Tensor} may hold one.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { UserError } from "../errors.js";
import { systemCalls } from "../storage/system-calls.js";

/** A tensor in the native table; 0 is "no tensor". */
export type Handle = number;

/** What an operator takes from JavaScript. */
type OperatorArgument = number | bigint | boolean | string | null | undefined | readonly (number | boolean | null)[];

/** What an operator gives back: handles, numbers, or an array of them. */
export type OperatorResult = number | boolean | null | undefined | OperatorResult[];

export interface EngineFacts {
  readonly torchVersion: string;
  readonly threads: number;
  /** The instruction set that libtorch's kernels use, such as AVX512. */
  readonly cpuCapability: string;
  readonly cuda: boolean;
  readonly cudaDevices: number;
  readonly mkldnn: boolean;
  readonly mkl: boolean;
}

/** libtorch's c10d by numbers: native/collectives. `openGroup` and what is sent block until the other processes make the same call. */
export interface NativeCollectives {
  openStore(host: string, port: number, isServer: boolean, timeoutMs: number): { store: number; port: number };
  closeStore(store: number): void;
  openGroup(store: number, name: string, rank: number, size: number, address: string, timeoutMs: number): number;
  closeGroup(group: number): void;
  allReduce(group: number, tensors: readonly Handle[]): void;
  broadcast(group: number, tensors: readonly Handle[], root: number): void;
  allGather(group: number, tensor: Handle): Handle[];
  allGatherSmall(group: number, tensor: Handle): Handle;
  barrier(group: number): void;
  /** What no other graphics card is called, or "". */
  cardOf(device: string): string;
  /** Of the NCCL that can be used, or "". */
  ncclVersion(): string;
  useNccl(group: number, store: number, name: string, device: string, timeoutMs: number): void;
  openReducer(group: number, parameters: readonly Handle[], bucketBytes: number): number;
  prepareReducer(reducer: number, outputs: readonly Handle[]): void;
  /** Waits for what the pass has sent. */
  finishReducer(reducer: number): void;
  closeReducer(reducer: number): void;
  /** A byte into a pipe every so often, from a thread of its own. */
  startPulse(descriptor: number, everyMs: number): void;
}

interface NativeEngine extends NativeCollectives {
  setErrorClass(errorClass: new (operator: string, message: string) => Error): void;
  resolve(name: string, overload: string): number;
  schema(name: string, overload: string): string | null;
  call(operator: number, ...arguments_: OperatorArgument[]): OperatorResult;
  run(operator: number, ...arguments_: OperatorArgument[]): void;
  fromBytes(data: ArrayBufferView, dtype: string, shape: readonly number[]): Handle;
  fromMapped(data: ArrayBufferView, dtype: string, shape: readonly number[]): Handle;
  toBytes(tensor: Handle): ArrayBuffer;
  item(tensor: Handle): number;
  shape(tensor: Handle): number[];
  dtype(tensor: Handle): string;
  device(tensor: Handle): string;
  isLive(tensor: Handle): boolean;
  dispose(tensor: Handle): void;
  keep(tensor: Handle): void;
  openScope(): void;
  closeScope(kept: readonly Handle[]): void;
  liveTensors(): { tensors: number; bytes: number; depth: number };
  backward(tensor: Handle, gradient: Handle, retainGraph: boolean): void;
  grad(
    outputs: readonly Handle[],
    inputs: readonly Handle[],
    gradOutputs: readonly Handle[],
    retainGraph: boolean,
    createGraph: boolean,
  ): Handle[];
  gradOf(tensor: Handle): Handle;
  setGrad(tensor: Handle, gradient: Handle): void;
  zeroGrads(tensors: readonly Handle[]): void;
  setRequiresGrad(tensor: Handle, flag: boolean): void;
  requiresGrad(tensor: Handle): boolean;
  setGradMode(enabled: boolean): boolean;
  enterAutocast(device: string, dtype: string): string;
  leaveAutocast(device: string, before: string): void;
  setThreads(threads: number): void;
  setDevice(device: string): void;
  manualSeed(seed: number, device: string): void;
  generatorState(device: string): Handle;
  setGeneratorState(state: Handle, device: string): void;
  facts(): EngineFacts;
  startProfiler(): void;
  stopProfiler(origin: number): { readonly names: readonly string[]; readonly numbers: Float64Array };
  profilerThread(): number;
}

/** An operator refused its arguments: libtorch's message, with the operator and the tensors it was given. A bug of the caller's, so it keeps its stack. */
export class OperatorError extends Error {
  override readonly name = "OperatorError";

  constructor(
    readonly operator: string,
    message: string,
  ) {
    super(`${operator}: ${message}`);
  }
}

/** In the folder that `$TANDEM_NATIVE` names, else where the build puts it, seen from `src/` and from `dist/src/` alike. */
function addonPath(): string {
  const named = process.env["TANDEM_NATIVE"];
  if (named !== undefined && named !== "") return path.join(named, "bridge", "tandem.node");
  let folder = import.meta.dirname;
  while (!existsSync(path.join(folder, "package.json")) && path.dirname(folder) !== folder) folder = path.dirname(folder);
  return path.join(folder, "build", "bridge", "tandem.node");
}

let loaded: NativeEngine | undefined;
let isAhead = false;

/**
 * Begins to load the add-on in a thread, beside what the caller does next: libtorch's libraries take a quarter of a second. It never fails: what is wrong is {@link native}'s to say. The price: an exit in the
 * meantime waits for the thread, so look at what the user asked for first.
 */
export function loadNativeAhead(): void {
  const file = addonPath();
  if (loaded !== undefined || isAhead || !existsSync(file)) return;
  quietenKineto();
  try {
    const calls = systemCalls();
    calls.loadAhead(file);
    isAhead = true;
    process.once("exit", () => {
      calls.awaitAhead();
    });
  } catch {
    // Without the small add-on, or without another thread, the big one is loaded when it is needed.
  }
}

/** The add-on, loaded at first use: `tandem --help` must not pay for libtorch. @throws UserError when it isn't built or libtorch is gone. */
export function native(): NativeEngine {
  if (loaded !== undefined) return loaded;
  const file = addonPath();
  if (!existsSync(file))
    throw new UserError({ where: file, what: "the libtorch add-on isn't built", remedy: "run: bash scripts/setup.sh" });
  quietenKineto();
  try {
    loaded = createRequire(import.meta.url)(file) as NativeEngine;
  } catch (cause) {
    const got = cause instanceof Error ? cause.message : String(cause);
    throw new UserError({ where: file, what: "the libtorch add-on does not load", got, remedy: "run: bash scripts/setup.sh" }, { cause });
  }
  loaded.setErrorClass(OperatorError);
  return loaded;
}

/** The collectives of the add-on: for src/distributed alone. */
export function nativeCollectives(): NativeCollectives {
  return native();
}

/** Kineto prints a line for each start and stop of the profiler at every lower level, to everybody's stderr; it reads this while it is loaded. */
function quietenKineto(): void {
  process.env["KINETO_LOG_LEVEL"] ??= "99";
}

const resolved = new Map<string, number>();

/** The number of an operator, looked up in libtorch's dispatcher at first use. @throws OperatorError when this libtorch lacks it. */
export function operator(name: string, overload: string): number {
  const key = `${name}.${overload}`;
  let index = resolved.get(key);
  if (index === undefined) {
    index = native().resolve(name, overload);
    resolved.set(key, index);
  }
  return index;
}
