/**
 * Seconds that a step's exchanges take among workers, by the usual model of a message: latency + bytes / bandwidth. A ring sums B bytes of N workers in 2(N−1) messages of B/N bytes: 2(N−1)/N · B / bandwidth + 2(N−1) · latency, which no other
 * order beats in bytes (Patarasuk & Yuan 2009, "Bandwidth optimal all-reduce algorithms for clusters of workstations"). A ring gathers in half of that. It measures nothing.
 * The trap: how much of the sum is hidden behind the backward pass is an assumption, so both ends are given.
 */
import { BUCKET_BYTES } from "../../distributed/process-group.js";
import type { Link } from "./measure-link.js";

/** Share of a step's arithmetic behind which gradients are summed: the backward pass is two of three parts (Kaplan et al. 2020, arXiv 2001.08361, §2.1), and its first bucket is ready late. */
export const BACKWARD_SHARE = 2 / 3;

/** What a step sends. */
export interface Sent {
  readonly messages: number;
  readonly rowBytes: number;
  readonly gradientBytes: number;
  /** Weights that every step sends to all: where the optimiser's moments are shared out. */
  readonly weightBytes: number;
}

export interface StepTraffic {
  /** Seconds that a step is longer where gradients are summed beside the backward pass. */
  readonly hidden: number;
  /** Where nothing is hidden. */
  readonly exposed: number;
}

/** Seconds of the sum of `bytes` over so many workers. */
export function allReduceSeconds(bytes: number, workers: number, { bytesPerSecond, latency }: Link): number {
  if (workers === 1 || bytes === 0) return 0;
  const buckets = Math.max(1, Math.ceil(bytes / BUCKET_BYTES));
  return (2 * (workers - 1) * bytes) / workers / bytesPerSecond + 2 * (workers - 1) * latency * buckets;
}

/** @param compute seconds of the step's own arithmetic */
export function stepTraffic(
  { messages, rowBytes, gradientBytes, weightBytes }: Sent,
  { link, workers, compute }: { readonly link: Link; readonly workers: number; readonly compute: number },
): StepTraffic {
  if (workers === 1) return { hidden: 0, exposed: 0 };
  const { bytesPerSecond, latency } = link;
  const others = workers - 1;
  const gathered = messages * others * latency + (others * rowBytes) / workers / bytesPerSecond;
  const told = weightBytes === 0 ? 0 : weightBytes / bytesPerSecond + workers * latency;
  const summed = allReduceSeconds(gradientBytes, workers, link);
  return { hidden: gathered + told + Math.max(0, summed - BACKWARD_SHARE * compute), exposed: gathered + told + summed };
}
