/**
 * `tandem train` as one of several processes that torchrun, srun or a script started: it meets the others, and all train one run together, each with a worker process of its own. The first makes or finds the run directory, shows and
 * tracks; the others print only what happened to themselves or ended them. The traps: each process reads the config for itself, so it is compared before anything is made; and a run directory that the first has just made may show on
 * another node only after a while, or never, where the file system isn't shared.
 */
import { readdirSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { LaunchPlace } from "../distributed/launch-environment.js";
import type { Team } from "../distributed/team.js";
import { UserError } from "../errors.js";
import type { CaughtSignals } from "../job/driver.js";
import { driveInTeam } from "../job/drive-in-team.js";
import { openRunDirectory } from "../tracking/run-directory.js";
import { followed, leaveSoon } from "./drive-run.js";
import { hashOfWanted, openWanted, wantedRun, workersAsked, type TrainArguments, type WantedRun } from "./run-to-train.js";
import { showEnd, shower } from "./show-training.js";
import { inTeam } from "./team-command.js";

/** Milliseconds for which a network file system may hide a new folder. */
const HIDDEN = 45_000;

/**
 * Trains as one of the job's processes. Returns the exit code, the same on every rank.
 *
 * @throws UserError on every rank when one fails, naming it
 */
export async function trainInTeam(command: TrainArguments, place: LaunchPlace, signals: CaughtSignals): Promise<number> {
  const wanted = wantedRun(command, place.rank !== 0);
  requireOneWorkerEach(wanted, place);
  return await inTeam(hashOfWanted(wanted), place, signals, (team) =>
    place.rank === 0 ? lead(team, wanted, place, { command, signals }) : follow(team, place, { command, signals }),
  );
}

interface Commanded {
  readonly command: TrainArguments;
  readonly signals: CaughtSignals;
}

/** Each process that was launched has one worker. */
function requireOneWorkerEach(wanted: WantedRun, { launcher, size }: LaunchPlace): void {
  const asked = workersAsked(wanted);
  if (asked === undefined || asked.workers === 1) return;
  const starter = { torchrun: "torchrun", slurm: "srun", tandem: "tandem launch", script: "WORLD_SIZE" }[launcher];
  throw new UserError({
    where: asked.where,
    what: `${starter} says that ${size} processes train, each with one worker`,
    expected: "train.workers=1",
    remedy: "leave train.workers out, or start tandem by itself",
  });
}

/** The first process: what a single one does, with the others' help. */
async function lead(
  team: Team,
  wanted: WantedRun,
  { localRank, localSize, cpusPerTask: cores }: LaunchPlace,
  { command, signals }: Commanded,
): Promise<number> {
  const opened = openWanted(wanted);
  const { run, server } = opened;
  await team.share(run.path);
  const { show, finish } = shower(run, command);
  const code = await followed(opened, signals, show, (onMessage) =>
    driveInTeam({ team, run: run.path, localRank, localSize, cores, profile: command.profile, signals, onMessage }),
  ).finally(finish);
  if (server !== undefined) leaveSoon();
  showEnd(run, code, command);
  return code;
}

async function follow(
  team: Team,
  { localRank, localSize, cpusPerTask: cores }: LaunchPlace,
  { command, signals }: Commanded,
): Promise<number> {
  const run = await team.share("");
  await seen(run, team);
  return driveInTeam({ team, run, localRank, localSize, cores, profile: command.profile, signals, onMessage: () => undefined });
}

/** Waits until the run directory shows here too. */
async function seen(run: string, team: Team): Promise<void> {
  const giveUp = performance.now() + HIDDEN;
  for (;;) {
    try {
      // Reading the folder above makes a network file system look again.
      readdirSync(path.dirname(run));
      openRunDirectory(run);
      return;
    } catch {
      if (performance.now() >= giveUp) break;
    }
    await sleep(500);
  }
  throw new UserError({
    where: run,
    what: `the run directory isn't seen on node ${team.members[team.rank]?.host ?? "?"}`,
    expected: "a folder that all nodes share",
    remedy: "set run.dir to one",
  });
}
