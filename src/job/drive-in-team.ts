/**
 * The driver of one worker among those of a job that a launcher started: driver.ts for several machines. All drivers of a team call it with the same run directory; the first one's worker writes and decides, and how it ended is how all
 * end. It neither meets the others nor shows anything.
 * The traps. Every rank makes the same exchanges in the same order, whatever becomes of its worker. A worker that failed because its fellow is gone only waits, so what a driver reports is what happened to its own; the first report counts,
 * on every rank. And a worker that waits for the others inside libtorch hears no signal: where one of them was stopped before it came, all are called off.
 */
import { failureError, type Team, type TeamFailure } from "../distributed/team.js";
import { UserError } from "../errors.js";
import { runPlaces } from "../tracking/run-directory.js";
import { noteEnd } from "../tracking/run-status.js";
import { faultOf, goOn, isStoppedEarly, lossOf, type CaughtSignals } from "./driver.js";
import { EXIT } from "./exit-codes.js";
import { runWorkers, type WorkerProgram, type WorkersEnd } from "./local-workers.js";
import type { JobMessage } from "./reporter.js";
import type { WorkerPlace } from "./worker-order.js";

/** Milliseconds that a worker has to leave once the first is gone. */
const GRACE = 10_000;
/** Milliseconds that a worker has to meet the others, beyond the ten minutes of which it would say itself that somebody is missing. */
const MEETING = 660_000;

export interface TeamDrive {
  readonly team: Team;
  /** The run directory, which every rank sees; for another program what its messages name. */
  readonly run: string;
  /** This rank's number among those on this machine. */
  readonly localRank: number;
  /** What the workers run beside training, and what to do when it has failed. */
  readonly program?: (WorkerProgram & { readonly goOn: string }) | undefined;
  /** Workers on this machine. */
  readonly localSize: number;
  /** Cores of this rank alone, where the launcher says so. */
  readonly cores: number | undefined;
  readonly profile: boolean;
  readonly signals: CaughtSignals;
  readonly onMessage: (message: JobMessage) => void;
}

/**
 * Trains until the first worker ends. Returns the exit code, the same on every rank.
 *
 * @throws UserError naming the rank that failed first, and why; on that rank itself a mistake of the user's as it is
 */
export async function driveInTeam(drive: TeamDrive): Promise<number> {
  // Before the other exchanges are under way.
  const addresses = await drive.team.addresses();
  const exchanges = new Exchanges(drive.team);
  const end = await runOne(drive, exchanges, addresses);
  const { team, run, signals } = drive;
  const asked = { asked: () => signals.asked() || exchanges.isStopAsked, killed: () => signals.killed() };
  if (team.rank === 0 && isOrderly(end)) return await exchanges.conclude(end.code ?? EXIT.bug);
  const isCalledOff = isStoppedEarly(end, asked) && exchanges.come("stopped");
  const outcome = exchanges.outcome ?? (isCalledOff || isOrderly(end) ? await exchanges.settled() : undefined);
  if (typeof outcome === "number") return outcome;
  const what = whyOf(run, end, asked);
  if (outcome === undefined) team.report(what);
  const settled = outcome ?? (await exchanges.settled());
  if (typeof settled === "number") return settled;
  const isOwn = settled.rank === team.rank && settled.why === what;
  const error = endedBy(settled, drive);
  if (end.hadRun) noteEnd(runPlaces(run), isOwn && end.signal === "SIGKILL" ? "killed" : "failed", error.message);
  if (isOwn && end.signal === null) {
    if (end.code === EXIT.userError) throw faultOf(run, end);
    // It printed what happened itself.
    return end.code ?? EXIT.bug;
  }
  throw error;
}

/** The failure with the command that goes on. */
function endedBy(failure: TeamFailure, { run, program }: TeamDrive): UserError {
  return new UserError({ ...failureError(failure).fault, remedy: program?.goOn ?? goOn(run) });
}

function whyOf(run: string, end: WorkersEnd, asked: Parameters<typeof lossOf>[1]): string {
  const worker = `its worker (process ${end.pid ?? "?"})`;
  if (end.signal !== null) return `${worker} ${lossOf(end, asked)}`;
  if (end.code === EXIT.userError) return `${worker} refused its input (${faultOf(run, end).message})`;
  return `${worker} ended with exit code ${end.code ?? EXIT.bug}; its own lines say why`;
}

function isOrderly({ code }: WorkersEnd): boolean {
  return code === EXIT.finished || code === EXIT.requeue;
}

/** Starts this rank's worker and waits for its end. */
async function runOne(
  { team, run, program, localRank, localSize, cores, profile, signals, onMessage }: TeamDrive,
  exchanges: Exchanges,
  addresses: readonly string[],
): Promise<WorkersEnd> {
  const [storeHost = "127.0.0.1"] = addresses;
  const address = addresses[team.rank] ?? storeHost;
  const place: WorkerPlace = { rank: team.rank, size: team.size, localRank, localSize, cores, address, storeHost };
  const late = setTimeout(
    () => team.report(`its worker didn't meet the others within ${MEETING / 60_000} minutes at ${place.address}`),
    MEETING,
  );
  try {
    return await runWorkers({
      run,
      program,
      profile,
      places: [place],
      onMessage,
      onStart: (worker) => {
        signals.passTo(worker);
        // The first worker stops all at the same step; the others' don't listen.
        void team.stopAsked.then(() => worker.kill("SIGTERM"));
      },
      onCome: (how) => {
        if (how === "joined") clearTimeout(late);
        else exchanges.come("listening");
      },
      onStep: (step) => team.noteStep(step),
      storePort: exchanges.storePort,
      onStore: (port) => exchanges.tellStore(port),
      abort: exchanges.over,
    });
  } finally {
    clearTimeout(late);
  }
}

/** What the drivers tell each other from the start of their workers on: where the first worker's store listens, whether any was stopped before it came, how the first one ended. */
class Exchanges {
  /** Where the first worker's store listens; for the other ranks' workers. */
  readonly storePort: Promise<number>;
  /** Aborted when this rank's worker has nothing more to do. */
  readonly over: AbortSignal;
  /** How all end, as soon as it is known. */
  outcome: number | TeamFailure | undefined;
  isStopAsked = false;
  readonly #team: Team;
  readonly #settled: Promise<number | TeamFailure>;
  readonly #port: Promise<number | null>;
  tellStore!: (port: number | null) => void;
  #hasCome = false;
  #come!: (how: "listening" | "stopped") => void;
  #settle!: (outcome: number | TeamFailure) => void;

  constructor(team: Team) {
    this.#team = team;
    const over = new AbortController();
    this.over = over.signal;
    this.#settled = new Promise((resolve) => {
      this.#settle = (outcome) => {
        this.outcome ??= outcome;
        resolve(this.outcome);
      };
    });
    void team.failed.then((failure) => {
      this.#settle(failure);
      over.abort();
    });
    void team.stopAsked.then(() => (this.isStopAsked = true));
    const own = new Promise<number | null>((resolve) => (this.tellStore = resolve));
    this.#port = team.rank === 0 ? own.then((port) => team.share(port)) : team.share<number | null>(null);
    this.storePort = this.#port.then((port) => {
      if (port === null) throw new Error("the first worker ended before its store was open");
      return port;
    });
    const came = new Promise<"listening" | "stopped">((resolve) => (this.#come = resolve));
    const calledOff = came.then((how) => team.gather(how)).then((all) => all.includes("stopped"));
    void calledOff.then((isOff) => {
      if (!isOff) return;
      this.#settle(EXIT.requeue);
      over.abort();
    }, ignore);
    if (team.rank !== 0) void team.share<number | null>(null).then((code) => this.#firstEnded(code ?? EXIT.bug, over), ignore);
    for (const told of [this.#port, this.storePort]) told.catch(ignore);
  }

  /** This rank's worker came to where signals don't end it, or was stopped before. False when it had come already. */
  come(how: "listening" | "stopped"): boolean {
    if (this.#hasCome) return false;
    this.#hasCome = true;
    this.#come(how);
    return true;
  }

  /** How all end. */
  async settled(): Promise<number | TeamFailure> {
    return await this.#settled;
  }

  /** On the first rank: its worker ended in order, and this is how all end. */
  async conclude(code: number): Promise<number> {
    this.tellStore(null);
    this.#settle(code);
    await this.#port.then(() => this.#team.share(code)).catch(ignore);
    return code;
  }

  #firstEnded(code: number, over: AbortController): void {
    this.#settle(code);
    setTimeout(() => over.abort(), GRACE).unref();
  }
}

/** A team that ended says so by its failure. */
function ignore(): void {
  return;
}
