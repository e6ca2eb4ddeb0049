/**
 * A command that is done by one process or by several together, as the environment has it. It does neither: program-in-team.ts does the one, the command itself the other. The trap: a process of several that has no place among them must
 * be refused, or each would do all the work in the same folders.
 */
import { requireOneProcess } from "../config/launch-environment.js";
import { launchPlace, type LaunchPlace } from "../distributed/launch-environment.js";
import { tellTorchrun } from "../distributed/torchrun-error-file.js";
import type { TeamProgram } from "./program-in-team.js";

/** Does the command; the process's exit code is set. @throws UserError, which torchrun is told of too */
export async function aloneOrInTeam(alone: () => Promise<number>, program: (place: LaunchPlace) => Promise<TeamProgram>): Promise<void> {
  try {
    const place = launchPlace(process.env);
    if (place !== undefined && place.size > 1) {
      const { programInTeam } = await import("./program-in-team.js");
      process.exitCode = await programInTeam(place, () => program(place));
      return;
    }
    requireOneProcess(process.env);
    process.exitCode = await alone();
  } catch (error) {
    tellTorchrun(process.env, error instanceof Error ? error.message : String(error));
    throw error;
  }
}
