/**
 * The training process's hold on the second process of an asynchronous refresh: starts it, passes on what it says, knows whether it failed, waits for it, ends it. It decides nothing; when the index is read is
 * index-upkeep.ts's. The trap: the training process blocks while it computes, so messages are heard between steps only; what was made is looked for on the disk, never in a message.
 */
import { fork, type ChildProcess } from "node:child_process";
import path from "node:path";
import { type Fault, UserError } from "../../errors.js";
import type { BuildMessage, BuildOrder } from "./build-order.js";
import { EXIT } from "../exit-codes.js";
import type { Report } from "../reporter.js";

/** The second process's file beside this one: compiled when this is compiled. */
function processFile(): string {
  return path.join(import.meta.dirname, `refresh-process${path.extname(import.meta.filename)}`);
}

export class IndexBuilder {
  readonly #child: ChildProcess;
  /** Settled when the process has ended; never rejected. */
  readonly #ended: Promise<void>;
  #failure: Error | undefined;
  #isStopped = false;

  private constructor(child: ChildProcess, report: Report) {
    this.#child = child;
    let fault: Fault | undefined;
    child.on("message", (message) => {
      const said = message as BuildMessage;
      if (said.type === "fault") fault = said.fault;
      else report(said);
    });
    this.#ended = new Promise((resolve) => {
      child.on("error", (error) => {
        // A message that couldn't be sent to a process that is there: its end says more, and comes.
        if (child.pid !== undefined) return;
        this.#failure ??= error;
        resolve();
      });
      child.once("close", (code, signal) => {
        if (!this.#isStopped) this.#failure ??= failureOf(code, signal, fault);
        resolve();
      });
    });
  }

  /** Starts the process and gives it its order. */
  static start(order: BuildOrder, report: Report): IndexBuilder {
    const child = fork(processFile(), [], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
    const builder = new IndexBuilder(child, report);
    // It ends with this process by itself once it is loaded; until then, this does it.
    const kill = (): boolean => child.kill("SIGKILL");
    process.once("exit", kill);
    child.once("close", () => process.off("exit", kill));
    child.send(order, () => undefined);
    return builder;
  }

  /** Why the process ended without an index, once it is known. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Waits for the process's end. @throws UserError, or Error for a bug, when it failed */
  async finished(): Promise<void> {
    await this.#ended;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Ends the process at once: whatever it writes appears whole or not at all. Settles when it has ended. */
  stop(): Promise<void> {
    this.#isStopped = true;
    this.#child.kill("SIGKILL");
    return this.#ended;
  }
}

const GO_ON = "go on from the last checkpoint, or make indexes in the training process: train.refresh.asynchronous=false";

function failureOf(code: number | null, signal: NodeJS.Signals | null, fault: Fault | undefined): Error | undefined {
  if (code === EXIT.finished) return undefined;
  if (fault !== undefined) return new UserError(fault);
  if (signal !== null)
    return new UserError({
      where: "train.refresh",
      what: `the process that makes the index was ended by ${signal}${signal === "SIGKILL" ? " (out of memory, or by hand)" : ""}`,
      remedy: GO_ON,
    });
  return new Error(`the process that makes the index ended with code ${String(code)}`);
}
