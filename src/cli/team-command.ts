/**
 * A command as one of several processes that torchrun, srun, `tandem launch` or a script started: it meets the others, which must have been asked for the same, and leaves with the same end as they. What they do is their own files'. The
 * trap: whoever ends without a word leaves the others waiting.
 */
import type { LaunchPlace } from "../distributed/launch-environment.js";
import { rendezvous } from "../distributed/rendezvous.js";
import type { Team } from "../distributed/team.js";
import type { CaughtSignals } from "../job/driver.js";
import { EXIT } from "../job/exit-codes.js";
import { hashBytes } from "../storage/content-hash.js";
import { collectVersions } from "../tracking/versions.js";

/** Equal for commands that ask for the same: what they ask for is plain data. */
export function hashOfAsked(asked: object): string {
  return hashBytes(Buffer.from(JSON.stringify(asked))).slice(0, 16);
}

/**
 * Meets the others and does the work with them. Returns the exit code.
 *
 * @param asked {@link hashOfAsked}: what every process of the job must have been asked for
 * @throws UserError on every rank when one fails, naming it
 */
export async function inTeam(
  asked: string,
  place: LaunchPlace,
  signals: CaughtSignals,
  work: (team: Team) => Promise<number>,
): Promise<number> {
  const team = await meet(asked, place, signals);
  if (team === undefined) {
    process.stderr.write("stopped before the processes of the job had met; nothing was made\n");
    return EXIT.requeue;
  }
  onFirst(signals.first, () => team.broadcastStop());
  try {
    return await work(team);
  } catch (error) {
    // After the first failure nobody listens any more.
    team.report(error instanceof Error ? error.message : String(error));
    throw error;
  } finally {
    await team.leave();
  }
}

/** Undefined when a signal ended the waiting. */
async function meet(configHash: string, place: LaunchPlace, signals: CaughtSignals): Promise<Team | undefined> {
  const { nodeName } = place;
  try {
    return await rendezvous({
      place,
      version: String(collectVersions()["tandem"]),
      configHash,
      ...(nodeName === undefined ? {} : { hostName: nodeName }),
      warn: (text) => process.stderr.write(`warning: ${text}\n`),
      signal: signals.first,
    });
  } catch (error) {
    if (error instanceof Error && error.name === "AbortError") return undefined;
    throw error;
  }
}

function onFirst(signal: AbortSignal, work: () => void): void {
  if (signal.aborted) work();
  else signal.addEventListener("abort", work, { once: true });
}
