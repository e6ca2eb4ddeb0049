/**
 * What a driver tells a worker process, and what they say to each other beside the job's own messages. Plain data: it crosses between processes. The first worker is the one that writes and speaks; it also keeps the store in which the
 * workers find each other, so its port goes through the drivers to all others.
 */
import type { JobMessage } from "./reporter.js";

/** A worker's place among those of one run. */
export interface WorkerPlace {
  readonly rank: number;
  readonly size: number;
  /** Its number among those on this machine. */
  readonly localRank: number;
  /** Workers on this machine, among which its cores are divided. */
  readonly localSize: number;
  /** Cores that a launcher gave to this worker alone; then nothing is divided. */
  readonly cores?: number | undefined;
  /** Its own address, as the other workers reach it. */
  readonly address: string;
  /** Where the first worker's store is. */
  readonly storeHost: string;
}

/** The word that a worker is started with. */
export interface WorkerOrder {
  readonly run: string;
  readonly profile: boolean;
  readonly place: WorkerPlace;
}

export interface ToWorker {
  readonly type: "store";
  readonly port: number;
}

/** `listening`: signals don't end it any more without its leave. `store`: the first worker listens there. `joined`: it has met all others. `stepped`: another worker than the first has ended that step. */
export type FromWorker =
  | JobMessage
  | { readonly type: "listening" | "joined" }
  | { readonly type: "store"; readonly port: number }
  | { readonly type: "stepped"; readonly step: number };

/** The one worker of a run. */
export const ONLY_WORKER: WorkerPlace = { rank: 0, size: 1, localRank: 0, localSize: 1, address: "127.0.0.1", storeHost: "127.0.0.1" };

/** The descriptor of a worker's pulse: behind the standard ones and the channel of messages. */
export const PULSE_DESCRIPTOR = 4;
/** Milliseconds between two signs of life. */
export const PULSE_EVERY = 1000;
