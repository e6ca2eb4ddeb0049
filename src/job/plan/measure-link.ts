/**
 * What two processes of this machine send each other through gloo: seconds of a small sum and bytes a second of a large one. It starts the second process (link-member.ts) and does the same calls as that. The traps: this is memory and
 * the system's loop-back, no network, and both processes share the cores; and a call blocks this process until the other one makes it.
 */
import { fork } from "node:child_process";
import path from "node:path";
import { openProcessGroup, openStore } from "../../distributed/process-group.js";
import { OperatorError } from "../../engine/native.js";
import { linkCalls } from "./link-calls.js";

/** A link between two workers. */
export interface Link {
  /** Bytes a second of one direction. */
  readonly bytesPerSecond: number;
  /** Seconds of one message of no size. */
  readonly latency: number;
}

/** The other process's file beside this one: compiled when this is compiled. */
function memberFile(): string {
  return path.join(import.meta.dirname, `link-member${path.extname(import.meta.filename)}`);
}

/** Milliseconds that the other process may take to come. */
const PATIENCE = 60_000;

/** @returns undefined where the two can't reach each other */
export function measureLink(): Link | undefined {
  const store = openStore({ host: "127.0.0.1", port: 0, isServer: true, timeout: PATIENCE });
  const child = fork(memberFile(), [String(store.port)], { stdio: "ignore" });
  try {
    const place = { store, name: "link", rank: 0, size: 2, address: "127.0.0.1", timeout: PATIENCE };
    const group = openProcessGroup(place);
    try {
      const calls = linkCalls(group);
      group.barrier();
      return linkOf(calls);
    } finally {
      group.close();
    }
  } catch (error) {
    if (error instanceof OperatorError) return undefined;
    throw error;
  } finally {
    child.kill("SIGKILL");
    store.close();
  }
}

/** Of two workers a ring's sum takes two messages, each of half of the bytes: 2 · latency + bytes / bandwidth. */
export function linkOf({ small, large, bytes }: ReturnType<typeof linkCalls>): Link {
  return { latency: small / 2, bytesPerSecond: bytes / Math.max(large - small, 1e-9) };
}
