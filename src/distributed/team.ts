/**
 * The drivers of a job while the run goes on: heartbeats, who failed and why, a stop that is passed on, small values. A star: rank 0 is connected to each, and what concerns all goes through it; when
 * it is gone each notices for itself. It ends no process and starts none. The traps: the first failure that rank 0 hears of is the one that all are told, and a worker that fails because
 * another's is gone may be reported as soon as that one; and a member that ends without {@link Team.leave} has failed.
 */
import { UserError } from "../errors.js";
import { Blackboard, type BlackboardMessage, VALUE_LIMIT } from "./blackboard.js";
import type { LineSocket } from "./line-socket.js";
import { memberAddresses } from "./member-addresses.js";
import { Pulse, type Rhythm } from "./pulse.js";

export interface Member {
  readonly rank: number;
  /** The name of its node. */
  readonly host: string;
}

export interface TeamFailure extends Member {
  /** `silent for 30 s`, `connection lost`, or what its own driver reported. */
  readonly why: string;
  /** The last step that was heard of; it may have come further. */
  readonly lastStep?: number;
}

type TeamMessage =
  | { readonly type: "beat"; readonly step: number | null }
  | { readonly type: "failed"; readonly failure: TeamFailure }
  | { readonly type: "stop"; readonly rank: number }
  /** Orderly: what follows is no failure. */
  | { readonly type: "bye" }
  | BlackboardMessage;

interface Link {
  readonly member: Member;
  readonly socket: LineSocket;
  step: number | undefined;
  hasLeft: boolean;
}

/** {@link TeamFailure} as the line that a user reads. */
export function failureError({ rank, host, why, lastStep }: TeamFailure): UserError {
  return new UserError({ where: `rank ${rank} on node ${host}`, what: lastStep === undefined ? why : `${why} after step ${lastStep}` });
}

export class Team {
  readonly rank: number;
  /** All, in the order of their ranks. */
  readonly members: readonly Member[];
  /** The first failure, the same on every rank that rank 0 reaches. Never rejected; pending as long as all is well. */
  readonly failed: Promise<TeamFailure>;
  /** Who first asked all to stop, this rank itself included. Pending as long as nobody did. */
  readonly stopAsked: Promise<Member>;
  readonly #addresses: readonly string[];
  readonly #links = new Map<number, Link>();
  readonly #pulse: Pulse;
  readonly #blackboard: Blackboard;
  #step: number | undefined;
  #tellFailure!: (failure: TeamFailure) => void;
  #tellStop!: (by: Member) => void;
  #hasFailed = false;
  #isStopping = false;
  #isLeaving = false;

  /** @param sockets at rank 0 those of all others, elsewhere that of rank 0 */
  constructor(rank: number, members: readonly Member[], sockets: ReadonlyMap<number, LineSocket>, rhythm: Rhythm) {
    this.rank = rank;
    this.members = members;
    this.failed = new Promise((resolve) => (this.#tellFailure = resolve));
    this.stopAsked = new Promise((resolve) => (this.#tellStop = resolve));
    this.#blackboard = new Blackboard(rank, members.length, (message) => this.#sendAll(message));
    this.#addresses = memberAddresses(
      members.length,
      [...sockets].flatMap(([other, { ends }]) => (ends === undefined ? [] : [{ rank: other, ...ends }])),
    );
    for (const [other, socket] of sockets) this.#hold(other, socket);
    this.#pulse = new Pulse(
      sockets.keys(),
      rhythm,
      () => this.#sendAll({ type: "beat", step: this.#step ?? null }),
      (other) => this.#accuse(other, `silent for ${rhythm.silence / 1000} s`),
    );
    // Alone there is nobody to hear, and nothing to keep the process for.
    if (sockets.size === 0) this.#pulse.stop();
  }

  get size(): number {
    return this.members.length;
  }

  /**
   * Rank 0's value, on every rank. The others' is not looked at.
   *
   * @throws UserError when the team ended before
   */
  async share<T>(value: T): Promise<T> {
    return (await this.#blackboard.share(value)) as T;
  }

  /**
   * The values of all, in the order of their ranks; also a barrier.
   *
   * @throws UserError when the team ended before, or a member left
   */
  async gather<T>(value: T): Promise<T[]> {
    return (await this.#blackboard.gather(value)) as T[];
  }

  /**
   * Where each rank is reached by all others, in their order. A {@link share}: every rank calls it.
   *
   * @throws UserError when the team ended before
   */
  async addresses(): Promise<readonly string[]> {
    return await this.share(this.#addresses);
  }

  /** The step that this rank's worker has come to. It is told with the next heartbeat. */
  noteStep(step: number): void {
    this.#step = step;
  }

  /** Tells all that this rank's worker failed, like `its worker was ended by SIGKILL`. */
  report(why: string): void {
    const failure = this.#failureOf(this.rank, why);
    const first = this.#links.get(0);
    // Rank 0 decides which failure was the first, and its word comes back.
    if (first === undefined || first.hasLeft) this.#fail(failure);
    else first.socket.send({ type: "failed", failure } satisfies TeamMessage);
  }

  /** Tells all that this rank was asked to stop. */
  broadcastStop(): void {
    this.#stop(this.rank);
  }

  /** An orderly end: whatever happens to the others from now on isn't told, and that this one is gone is no failure to them. Await it before the process ends. Not a barrier: rank 0 may leave first. */
  async leave(): Promise<void> {
    if (this.#isLeaving) return;
    this.#sendAll({ type: "bye" });
    this.#isLeaving = true;
    this.#pulse.stop();
    this.#blackboard.end(new Error("this process has left the team"));
    await Promise.all([...this.#links.values()].map(({ socket }) => socket.end()));
  }

  #hold(other: number, socket: LineSocket): void {
    const member = this.#memberOf(other);
    const link: Link = { member, socket, step: undefined, hasLeft: false };
    this.#links.set(other, link);
    // Every value of a round in one line.
    socket.limit = (VALUE_LIMIT + 1) * (this.members.length + 1);
    socket.onMessage = (message) => {
      // Both sides run the same version; what isn't even an object is no message all the same.
      if (typeof message === "object" && message !== null) this.#receive(link, message as TeamMessage);
    };
    socket.onClose = (reason) => {
      if (!link.hasLeft) this.#accuse(other, reason);
    };
  }

  #receive(link: Link, message: TeamMessage): void {
    const { rank } = link.member;
    this.#pulse.heard(rank);
    switch (message.type) {
      case "beat":
        link.step = message.step ?? undefined;
        break;
      case "failed":
        this.#fail(message.failure);
        break;
      case "stop":
        this.#stop(message.rank);
        break;
      case "bye":
        this.#goodbye(link);
        break;
      default:
        this.#blackboard.take(message, rank);
    }
  }

  #goodbye(link: Link): void {
    const { rank } = link.member;
    link.hasLeft = true;
    this.#pulse.forget(rank);
    if (this.rank === 0) this.#blackboard.leave(rank);
    else this.#blackboard.end(new UserError({ where: `rank ${rank} on node ${link.member.host}`, what: "left the team" }));
  }

  #accuse(rank: number, why: string): void {
    this.#fail(this.#failureOf(rank, why));
  }

  /** The first one counts. Told to all whom this rank reaches: also to one that is accused, and may only have been stopped for a while. */
  #fail(failure: TeamFailure): void {
    if (this.#hasFailed || this.#isLeaving) return;
    this.#hasFailed = true;
    this.#pulse.stop();
    this.#sendAll({ type: "failed", failure });
    this.#blackboard.end(failureError(failure));
    this.#tellFailure(failure);
  }

  #stop(by: number): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#sendAll({ type: "stop", rank: by });
    this.#tellStop(this.#memberOf(by));
  }

  #failureOf(rank: number, why: string): TeamFailure {
    // Of one that told none yet this rank's own step is known: they take their steps together.
    const step = (rank === this.rank ? undefined : this.#links.get(rank)?.step) ?? this.#step;
    return { ...this.#memberOf(rank), why, ...(step === undefined ? {} : { lastStep: step }) };
  }

  #memberOf(rank: number): Member {
    return this.members[rank] ?? { rank, host: "?" };
  }

  /** To all that this rank is connected to: at rank 0 everybody, elsewhere rank 0. */
  #sendAll(message: TeamMessage): void {
    if (this.#isLeaving) return;
    for (const { socket, hasLeft } of this.#links.values()) if (!hasLeft) socket.send(message);
  }
}
