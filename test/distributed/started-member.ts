/** The parent's side of `member-process.ts`: starts drivers, waits for what they tell, and ends what is left of them. Not a test: used by those of the meeting and the team. */
import { type ChildProcess, fork } from "node:child_process";
import path from "node:path";
import { afterEach } from "vitest";
import type { MemberEvent, MemberOptions, MemberOrder } from "./member-process.js";

type EventOf<T extends MemberEvent["type"]> = Extract<MemberEvent, { type: T }>;

export class StartedMember {
  readonly events: MemberEvent[] = [];
  /** The exit code, or the signal. */
  readonly ended: Promise<number | string | null>;
  readonly #child: ChildProcess;
  readonly #wakers = new Set<() => void>();
  /** How many of the events have been waited for. */
  #seen = 0;
  #hasEnded = false;

  constructor(options: MemberOptions) {
    this.#child = fork(path.join(import.meta.dirname, "member-process.ts"), [JSON.stringify(options)], { execArgv: ["--import", "tsx"] });
    this.#child.on("message", (event) => {
      this.events.push(event as MemberEvent);
      this.#wake();
    });
    this.ended = new Promise((resolve) => {
      this.#child.once("exit", (code, signal) => {
        this.#hasEnded = true;
        this.#wake();
        resolve(signal ?? code);
      });
    });
  }

  /** The next event of this kind. Those before it are passed over. */
  async next<T extends MemberEvent["type"]>(type: T): Promise<EventOf<T>> {
    for (;;) {
      const found = this.events.slice(this.#seen).findIndex((event) => event.type === type);
      if (found !== -1) {
        this.#seen += found + 1;
        return this.events[this.#seen - 1] as EventOf<T>;
      }
      if (this.#hasEnded) throw new Error(`ended without '${type}': ${JSON.stringify(this.events)}`);
      await new Promise<void>((resolve) => this.#wakers.add(resolve));
    }
  }

  tell(order: MemberOrder): void {
    this.#child.send(order);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  #wake(): void {
    for (const waker of this.#wakers) waker();
    this.#wakers.clear();
  }
}

const started: StartedMember[] = [];

/** A driver of a job of three at a port; it is ended after the test whatever becomes of it. */
export function startMember(
  rank: number,
  port: number,
  options: Partial<Omit<MemberOptions, "place">> & Partial<MemberOptions["place"]> = {},
): StartedMember {
  const { size = 3, jobId = "17", attempt = 0, host = "127.0.0.1", ...rest } = options;
  const member = new StartedMember({
    version: "0.1.0",
    configHash: "c0ffee",
    hostName: `n${rank}`,
    deadline: 60_000,
    ...rest,
    place: { rank, size, host, port, jobId, attempt },
  });
  started.push(member);
  return member;
}

afterEach(async () => {
  for (const member of started) {
    // A stopped process doesn't die of anything else.
    member.kill("SIGKILL");
    await member.ended;
  }
  started.length = 0;
});
