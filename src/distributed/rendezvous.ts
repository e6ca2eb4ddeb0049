/**
 * The meeting of a job's drivers before anything is computed: rank 0 listens at an address that the launcher made known, the others come, and all leave with a {@link Team} or with the same reason
 * why not. No tensors go this way: the workers' process group has a port of its own. The trap: whoever isn't the same job, attempt, version, size and config must be named at once, because
 * processes that wait for each other in different groups wait for ever.
 */
import { hostname } from "node:os";
import { handedServer } from "./handed-server.js";
import { PROTOCOL } from "./hello.js";
import type { LaunchPlace } from "./launch-environment.js";
import type { Meeting } from "./meeting.js";
import { receiveDrivers } from "./receive-drivers.js";
import { Team } from "./team.js";
import { visitFirstDriver } from "./visit-first-driver.js";

export interface RendezvousOptions {
  readonly place: Pick<LaunchPlace, "rank" | "size" | "host" | "port" | "jobId" | "attempt"> & Partial<Pick<LaunchPlace, "launcher">>;
  /** Tandem's own version. */
  readonly version: string;
  /** Hash of the resolved config, equal on every rank or the meeting fails. */
  readonly configHash: string;
  /** This node's name. Default: the system's. */
  readonly hostName?: string;
  /** Told, on rank 0, of visitors that were sent away. */
  readonly warn?: (text: string) => void;
  /** Ends the waiting. */
  readonly signal?: AbortSignal;
  /** Milliseconds until all must be here. Default: ten minutes. */
  readonly deadline?: number;
  /** Milliseconds for which rank 0 stays after a failure, to tell latecomers. Default: 30 s. */
  readonly linger?: number;
  /** Milliseconds between heartbeats while the run goes on. Default: 2 s. */
  readonly beat?: number;
  /** Milliseconds of silence that end the team. Default: 30 s. */
  readonly silence?: number;
}

/**
 * Meets the other drivers of the job. One process meets nobody and is a team at once.
 *
 * @throws UserError naming what differs, who is missing at the deadline, or a port that is taken; the same on every rank that can be told
 * @throws Error named AbortError when the signal ended it
 */
export async function rendezvous(options: RendezvousOptions): Promise<Team> {
  const { place, version, configHash, hostName = hostname(), deadline = 600_000, linger = 30_000, beat = 2000, silence = 30_000 } = options;
  const own = {
    tandem: PROTOCOL,
    version,
    job: place.jobId,
    attempt: place.attempt,
    size: place.size,
    rank: place.rank,
    config: configHash,
    host: hostName,
  };
  const rhythm = { beat, silence };
  if (place.size === 1) return new Team(0, [{ rank: 0, host: hostName }], new Map(), rhythm);
  const meeting: Meeting = {
    own,
    host: place.host,
    port: place.port,
    ...(place.launcher === "tandem" ? { handed: handedServer } : {}),
    deadline,
    linger,
    rhythm,
    warn: options.warn ?? (() => undefined),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  };
  return await (place.rank === 0 ? receiveDrivers(meeting) : visitFirstDriver(meeting));
}
