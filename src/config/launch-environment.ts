/**
 * How many processes a launcher started of this command, by what it says in the environment: Slurm's steps and torchrun. The trap: in a batch script itself Slurm sets SLURM_NTASKS to what was asked for, though only
 * one shell runs; only a step that srun started has SLURM_STEP_NUM_TASKS.
 * Source: srun(1), OUTPUT ENVIRONMENT VARIABLES; torch.distributed.run, "Environment Variables".
 */
import { UserError } from "../errors.js";
import type { Environment } from "./interpolate.js";

/**
 * Refuses to be one of several processes: each would train alone and write what the others write.
 *
 * @throws UserError naming the launcher's variable
 */
export function requireOneProcess(environment: Environment): void {
  for (const [variable, launcher] of [
    ["SLURM_STEP_NUM_TASKS", "srun"],
    ["WORLD_SIZE", "torchrun"],
    ["OMPI_COMM_WORLD_SIZE", "mpirun"],
  ] as const) {
    const count = Number(environment[variable] ?? 1);
    if (!(count > 1)) continue;
    throw new UserError({
      where: `${variable}=${count}`,
      what: `${launcher} started several processes, and each would train alone into the same folders`,
      expected: "1 process, which uses all cores it is given",
      remedy: launcher === "srun" ? "srun --ntasks=1, or sbatch scripts/exec.sh" : "start tandem train by itself",
    });
  }
}
