/**
 * What a driver says of itself when it comes to the meeting, and what rank 0 may object to. No sockets here. The trap: anything may knock at the port, so only the first line decides who is a stray
 * (rubbish, another job, another attempt: sent away, the meeting goes on) and who belongs here and yet differs (the meeting ends for all: they would wait for each other for ever).
 */
import type { Fault } from "../errors.js";

/** Raised whenever the messages change. The names in {@link Hello} stay, so that two versions can still tell each other so. */
export const PROTOCOL = 1;

export interface Hello {
  /** {@link PROTOCOL} of the sender. */
  readonly tandem: number;
  readonly version: string;
  readonly job: string;
  readonly attempt: number;
  readonly size: number;
  readonly rank: number;
  /** Hash of the config as it was resolved. */
  readonly config: string;
  readonly host: string;
}

export interface Objection {
  readonly fault: Fault;
  /** It belongs to this very meeting, which can't succeed any more. */
  readonly endsAll: boolean;
}

/** The message as a hello, or nothing when it is anything else. */
export function readHello(message: unknown): Hello | undefined {
  if (typeof message !== "object" || message === null) return undefined;
  const hello = message as Record<keyof Hello, unknown>;
  const isText = (["version", "job", "config", "host"] as const).every((key) => typeof hello[key] === "string");
  const isCounted = (["tandem", "attempt", "size", "rank"] as const).every(
    (key) => Number.isSafeInteger(hello[key]) && Number(hello[key]) >= 0,
  );
  return isText && isCounted ? (message as Hello) : undefined;
}

/** `rank 3 of job 17 on node n2`: who is meant in every message. */
function nameOf({ rank, job, host }: Hello): string {
  return shown(`rank ${rank} of job ${job} on node ${host}`);
}

/** Whether the visitor was started for this very meeting, whatever else it brings. */
export function isAwaited(visitor: Hello, own: Hello): boolean {
  return visitor.job === own.job && visitor.attempt === own.attempt;
}

/**
 * Why rank 0 can't take the visitor in, or nothing when it can.
 *
 * @param holder who has the visitor's rank already
 */
export function objectionTo(visitor: Hello, own: Hello, holder: Hello | undefined): Objection | undefined {
  const differ = (what: string, expected: string | number, got: string | number, remedy: string, endsAll: boolean): Objection => ({
    fault: { where: nameOf(visitor), what, expected: shown(String(expected)), got: shown(String(got)), remedy },
    endsAll,
  });
  const ownPort = "give each job a port of its own: TANDEM_PORT";
  if (visitor.job !== own.job) return differ("came to another job's meeting", `job ${own.job}`, `job ${visitor.job}`, ownPort, false);
  if (visitor.attempt !== own.attempt)
    return differ(
      "is of another attempt",
      `attempt ${own.attempt}`,
      `attempt ${visitor.attempt}`,
      "end what is left of the earlier attempt",
      false,
    );
  const install = "run the same Tandem on every node";
  if (visitor.version !== own.version)
    return differ("runs another Tandem", `version ${own.version}`, `version ${visitor.version}`, install, true);
  if (visitor.tandem !== own.tandem)
    return differ("runs another Tandem", `protocol ${own.tandem}`, `protocol ${visitor.tandem}`, install, true);
  if (visitor.size !== own.size)
    return differ("counts another number of processes", own.size, visitor.size, "start all processes by one launcher", true);
  if (visitor.config !== own.config)
    return differ(
      "has another config",
      `hash ${own.config}`,
      `hash ${visitor.config}`,
      "give every process the same config and overrides",
      true,
    );
  if (visitor.rank >= own.size)
    return differ("there is no such rank", `less than ${own.size}`, visitor.rank, "start all processes by one launcher", false);
  if (holder !== undefined)
    return differ(
      "its rank is taken",
      "one process a rank",
      `another on node ${holder.host}`,
      "start all processes by one launcher",
      false,
    );
  return undefined;
}

/** A visitor's text is printed to our user: bounded, and without what a terminal would obey. */
function shown(text: string): string {
  const plain = text.replace(/\p{C}/gu, "?");
  return plain.length > 200 ? `${plain.slice(0, 200)}…` : plain;
}
