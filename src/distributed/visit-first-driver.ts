/**
 * The meeting's side of every rank but 0: connects to rank 0 again and again until it is there, and then waits for its word. The traps: on one machine a connection to a port that nobody listens on
 * can, by chance, reach itself and keep rank 0 from the port; and once rank 0 has welcomed us its deadline counts, not ours, or both would tell different stories.
 */
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../errors.js";
import { LineSocket } from "./line-socket.js";
import { ANSWER_LIMIT, askedToStop, type Meeting, placeOf, readAnswer } from "./meeting.js";
import { Team } from "./team.js";

/** Milliseconds between two tries, at first and at most. */
const PAUSES = [50, 1000] as const;
/** Milliseconds that even the last try before the deadline has: to be cut off would hide what is wrong there. */
const LEAST = 1000;
/** Milliseconds until an address that says neither yes nor no is tried again. */
const CONNECTING = 10_000;
/** Milliseconds by which rank 0's word may come later than its deadline. */
const GRACE = 10_000;

/** Waits for rank 0 and for its word. */
export async function visitFirstDriver(meeting: Meeting): Promise<Team> {
  const giveUp = performance.now() + meeting.deadline;
  let pause: number = PAUSES[0];
  for (;;) {
    if (meeting.signal?.aborted === true) throw askedToStop();
    const left = giveUp - performance.now();
    const outcome = await new Visit(meeting, Math.max(left, LEAST)).outcome;
    if (outcome instanceof Team) return outcome;
    if (performance.now() + pause >= giveUp) throw unreached(meeting, outcome);
    // Aborted while it sleeps, it wakes at the latest after a second and sees it.
    await sleep(pause);
    pause = Math.min(2 * pause, PAUSES[1]);
  }
}

class Visit {
  /** The team, or what came in between: then it is tried again. */
  readonly outcome: Promise<Team | string>;
  readonly #meeting: Meeting;
  readonly #socket: LineSocket;
  #timer: NodeJS.Timeout;
  #resolve!: (outcome: Team | string) => void;
  #reject!: (error: Error) => void;

  /** @param left milliseconds until the deadline */
  constructor(meeting: Meeting, left: number) {
    this.#meeting = meeting;
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    const raw = connect({ host: meeting.host, port: meeting.port });
    this.#socket = new LineSocket(raw, ANSWER_LIMIT);
    this.#timer = setTimeout(() => this.#again("no answer"), Math.min(left, CONNECTING));
    let code: string | undefined;
    raw.once("error", (error: NodeJS.ErrnoException) => (code = troubleOf(error)));
    this.#socket.onClose = (reason) => this.#again(code ?? reason);
    this.#socket.onMessage = (message) => this.#hear(message);
    raw.once("connect", () => {
      if (isOwnEcho(raw)) {
        this.#again("nobody listens there");
        return;
      }
      // From here on a second try would find our own first one there.
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#again("no answer"), left);
      this.#socket.send(meeting.own);
    });
    meeting.signal?.addEventListener("abort", this.#stop, { once: true });
  }

  #hear(message: unknown): void {
    const { own, deadline, rhythm } = this.#meeting;
    const answer = readAnswer(message);
    if (answer === undefined) {
      this.#again("what answers there isn't Tandem");
    } else if (answer.type === "welcome") {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#end(unreached(this.#meeting, "it fell silent")), deadline + GRACE);
    } else if (answer.type === "over") {
      this.#end(new UserError(answer.fault));
    } else {
      this.#release();
      // At once: the first heartbeat may be in the same bytes.
      this.#resolve(new Team(own.rank, answer.members, new Map([[0, this.#socket]]), rhythm));
    }
  }

  #again(trouble: string): void {
    this.#release();
    this.#socket.destroy();
    this.#resolve(trouble);
  }

  #end(error: Error): void {
    this.#release();
    this.#socket.destroy();
    this.#reject(error);
  }

  readonly #stop = (): void => this.#end(askedToStop());

  #release(): void {
    clearTimeout(this.#timer);
    this.#socket.onClose = () => undefined;
    this.#socket.onMessage = () => undefined;
    this.#meeting.signal?.removeEventListener("abort", this.#stop);
  }
}

function isOwnEcho(socket: Socket): boolean {
  return socket.localPort === socket.remotePort && socket.localAddress === socket.remoteAddress;
}

function troubleOf(error: NodeJS.ErrnoException): string {
  return error.code === "ECONNREFUSED" ? "nobody listens there" : (error.code ?? error.message);
}

function unreached(meeting: Meeting, trouble: string): UserError {
  return new UserError({
    where: placeOf(meeting),
    what: `rank 0 wasn't met by rank ${meeting.own.rank} on node ${meeting.own.host} within ${meeting.deadline / 1000} s: ${trouble}`,
    remedy: "look at what rank 0's process says, and whether this node reaches that address; TANDEM_PORT names another port",
  });
}
