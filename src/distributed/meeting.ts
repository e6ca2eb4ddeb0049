/**
 * What the drivers' meeting is told and what its two sides say to each other: rank 0 receives (`receive-drivers.ts`), the others visit (`visit-first-driver.ts`). Nothing is done here. The trap:
 * the answers cross from one process to another, so what was read is checked before it is used.
 */
import type { Server } from "node:net";
import type { Fault } from "../errors.js";
import type { Hello } from "./hello.js";
import type { Rhythm } from "./pulse.js";
import type { Member } from "./team.js";

export interface Meeting {
  /** What this driver says of itself. */
  readonly own: Hello;
  /** Where rank 0 listens. */
  readonly host: string;
  readonly port: number;
  /** The socket at that place, where it listens already. */
  readonly handed?: () => Promise<Server | undefined>;
  /** Milliseconds until a meeting that isn't complete has failed. */
  readonly deadline: number;
  /** Milliseconds for which rank 0 stays to tell latecomers why the meeting failed. */
  readonly linger: number;
  readonly rhythm: Rhythm;
  readonly warn: (text: string) => void;
  readonly signal?: AbortSignal;
}

/** Rank 0's answers to a hello. */
export type Answer =
  /** You are expected; others are still missing. */
  | { readonly type: "welcome" }
  /** All are here. */
  | { readonly type: "team"; readonly members: readonly Member[] }
  /** You can't take part, or nobody can. */
  | { readonly type: "over"; readonly fault: Fault };

/** The most bytes of a line before both sides know each other. A team of thousands fits. */
export const ANSWER_LIMIT = 1 << 20;

export function readAnswer(message: unknown): Answer | undefined {
  if (typeof message !== "object" || message === null) return undefined;
  const { type, members, fault } = message as Record<string, unknown>;
  if (type === "welcome") return { type };
  if (type === "team" && Array.isArray(members) && members.every(isMember)) return { type, members };
  if (type === "over" && isFault(fault)) return { type, fault };
  return undefined;
}

/** `job 17 at n1:10017`: the meeting, for messages. */
export function placeOf({ own, host, port }: Meeting): string {
  return `job ${own.job} at ${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** The end that the caller asked for: neither a mistake nor a bug. */
export function askedToStop(): Error {
  return Object.assign(new Error("asked to stop while the processes of the job were waiting for each other"), { name: "AbortError" });
}

function isMember(value: unknown): value is Member {
  return (
    typeof value === "object" &&
    value !== null &&
    "rank" in value &&
    typeof value.rank === "number" &&
    "host" in value &&
    typeof value.host === "string"
  );
}

function isFault(value: unknown): value is Fault {
  if (typeof value !== "object" || value === null || !("where" in value && "what" in value)) return false;
  return (["where", "what", "expected", "got", "remedy"] as const).every((key) => {
    const part = (value as Record<string, unknown>)[key];
    return typeof part === "string" || (part === undefined && key !== "where" && key !== "what");
  });
}
