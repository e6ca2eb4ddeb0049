/**
 * Rank 0's side of the meeting: listens, takes in one driver a rank, and when all are here makes the team. Afterwards the port is free again. The traps: a connection that was taken in may break
 * before the others come, and its rank is free again then; and drivers that come after the meeting failed must be told why, so a failed meeting stays open for a little while.
 */
import { createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type Fault, UserError } from "../errors.js";
import { type Hello, isAwaited, objectionTo, readHello } from "./hello.js";
import { LineSocket } from "./line-socket.js";
import { type Answer, askedToStop, type Meeting, placeOf } from "./meeting.js";
import { Team } from "./team.js";

/** Milliseconds for which a taken port is tried again: the last attempt's process may still hold it. */
const LISTEN_PATIENCE = 30_000;
/** The most bytes of a hello, which is short: anybody can send one. */
const HELLO_LIMIT = 1 << 14;
/** Milliseconds within which who connects has said hello, or it isn't one of us. */
const FIRST_WORD = 10_000;
/** The most ranks that one message lists. */
const LISTED = 20;

/** Waits for all other drivers. */
export async function receiveDrivers(meeting: Meeting): Promise<Team> {
  const giveUp = performance.now() + meeting.deadline;
  const server = (await meeting.handed?.()) ?? (await listen(meeting));
  try {
    return await new Reception(meeting, server, giveUp).team;
  } finally {
    server.close();
  }
}

class Reception {
  readonly team: Promise<Team>;
  readonly #meeting: Meeting;
  readonly #arrived = new Map<number, { hello: Hello; socket: LineSocket }>();
  /** Connected, and silent so far. */
  readonly #strangers = new Set<LineSocket>();
  /** Ranks that know how the meeting failed. */
  readonly #told = new Set<number>();
  readonly #endings: Promise<void>[] = [];
  #verdict: Fault | undefined;
  #timer: NodeJS.Timeout;
  #resolve!: (team: Team) => void;
  #reject!: (error: Error) => void;

  constructor(meeting: Meeting, server: Server, giveUp: number) {
    this.#meeting = meeting;
    this.team = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    server.on("connection", (socket) => this.#greet(socket));
    this.#timer = setTimeout(() => this.#fail(this.#missing(), 0), Math.max(0, giveUp - performance.now()));
    meeting.signal?.addEventListener("abort", this.#stop, { once: true });
    if (meeting.signal?.aborted === true) this.#stop();
  }

  #greet(raw: Socket): void {
    const socket = new LineSocket(raw, HELLO_LIMIT);
    this.#strangers.add(socket);
    const timer = setTimeout(() => socket.destroy(), FIRST_WORD);
    socket.onClose = () => {
      clearTimeout(timer);
      this.#strangers.delete(socket);
    };
    socket.onMessage = (message) => {
      clearTimeout(timer);
      socket.onMessage = () => undefined;
      const hello = readHello(message);
      if (hello === undefined) {
        // A browser or a port scanner: not worth a word to anybody.
        socket.destroy();
      } else {
        this.#strangers.delete(socket);
        this.#judge(hello, socket);
      }
    };
  }

  #judge(hello: Hello, socket: LineSocket): void {
    const { own, warn } = this.#meeting;
    const objection = objectionTo(hello, own, hello.rank === 0 ? own : this.#arrived.get(hello.rank)?.hello);
    if (this.#verdict !== undefined && isAwaited(hello, own)) {
      this.#tell(hello.rank, socket, this.#verdict);
    } else if (objection === undefined) {
      this.#takeIn(hello, socket);
    } else if (objection.endsAll) {
      this.#fail(objection.fault, this.#meeting.linger, { hello, socket });
    } else {
      answer(socket, { type: "over", fault: objection.fault });
      this.#endings.push(socket.end());
      warn(new UserError(objection.fault).message);
    }
  }

  #takeIn(hello: Hello, socket: LineSocket): void {
    this.#arrived.set(hello.rank, { hello, socket });
    socket.onClose = () => this.#arrived.delete(hello.rank);
    answer(socket, { type: "welcome" });
    const { own, rhythm } = this.#meeting;
    if (this.#arrived.size < own.size - 1) return;
    const members = [own, ...[...this.#arrived.values()].map((one) => one.hello)]
      .map(({ rank, host }) => ({ rank, host }))
      .sort((a, b) => a.rank - b.rank);
    const links = new Map([...this.#arrived].map(([rank, one]) => [rank, one.socket]));
    for (const link of links.values()) answer(link, { type: "team", members });
    this.#close();
    // At once: the first heartbeat may be in the next bytes.
    this.#resolve(new Team(own.rank, members, links, rhythm));
  }

  /** Tells all who are here, waits for the others to be told, and ends. */
  #fail(fault: Fault, linger: number, culprit?: { hello: Hello; socket: LineSocket }): void {
    if (this.#verdict !== undefined) return;
    this.#verdict = fault;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#finish(), linger);
    const here = [...this.#arrived.values(), ...(culprit === undefined ? [] : [culprit])];
    for (const { hello, socket } of here) this.#tell(hello.rank, socket, fault);
  }

  #tell(rank: number, socket: LineSocket, fault: Fault): void {
    socket.onClose = () => undefined;
    answer(socket, { type: "over", fault });
    this.#endings.push(socket.end());
    const { size } = this.#meeting.own;
    // One that counts otherwise may bring a rank that we don't have.
    if (rank > 0 && rank < size) this.#told.add(rank);
    if (this.#told.size === size - 1) this.#finish();
  }

  #finish(): void {
    this.#close();
    const error = this.#meeting.signal?.aborted === true ? askedToStop() : new UserError(this.#verdict ?? this.#missing());
    // What was said must have left this process before it ends.
    void Promise.all(this.#endings).then(() => this.#reject(error));
  }

  readonly #stop = (): void => {
    const { own } = this.#meeting;
    this.#fail({ where: placeOf(this.#meeting), what: `rank 0 on node ${own.host} was asked to stop while it waited for the others` }, 0);
    // Also when it had failed already and only waited for latecomers.
    this.#finish();
  };

  #close(): void {
    clearTimeout(this.#timer);
    this.#meeting.signal?.removeEventListener("abort", this.#stop);
    for (const stranger of this.#strangers) stranger.destroy();
  }

  #missing(): Fault {
    const { own, deadline } = this.#meeting;
    const ranks = Array.from({ length: own.size - 1 }, (_, i) => i + 1).filter((rank) => !this.#arrived.has(rank));
    const listed = ranks.slice(0, LISTED).join(", ") + (ranks.length > LISTED ? ` and ${ranks.length - LISTED} more` : "");
    return {
      where: placeOf(this.#meeting),
      what: `${ranks.length === 1 ? "rank" : "ranks"} ${listed} of ${own.size} didn't come within ${deadline / 1000} s`,
      remedy: "look at what those processes say, and whether their nodes reach this address",
    };
  }
}

function answer(socket: LineSocket, message: Answer): void {
  socket.send(message);
}

async function listen(meeting: Meeting): Promise<Server> {
  const giveUp = performance.now() + Math.min(meeting.deadline, LISTEN_PATIENCE);
  for (;;) {
    if (meeting.signal?.aborted === true) throw askedToStop();
    const server = createServer();
    const code = await new Promise<string | undefined>((resolve) => {
      server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      server.listen({ port: meeting.port, ...boundTo(meeting.host) }, () => resolve(undefined));
    });
    if (code === undefined) {
      // A connection that can't be accepted is not the end of the others.
      server.on("error", () => undefined);
      return server;
    }
    if (code !== "EADDRINUSE" || performance.now() >= giveUp) throw cannotListen(meeting, code);
    await sleep(200);
  }
}

/** A meeting of one machine isn't opened to the network. */
function boundTo(host: string): { host?: string } {
  return host === "localhost" || host === "::1" || host.startsWith("127.") ? { host } : {};
}

function cannotListen(meeting: Meeting, code: string): UserError {
  return new UserError({
    where: placeOf(meeting),
    what: code === "EADDRINUSE" ? "another process listens on this port" : `rank 0 can't listen on this port (${code})`,
    expected: "a free port of the first node",
    remedy: "set TANDEM_PORT to one, the same for all processes",
  });
}
