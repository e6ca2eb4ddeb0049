/**
 * How many processes a launcher started of this command, by what it says in the environment: Slurm's steps, torchrun, Open MPI, and MPICH with its kin. The trap: in a batch script itself Slurm sets SLURM_NTASKS to what was asked for, though only
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
    ["PMI_SIZE", "mpiexec"],
  ] as const) {
    const count = Number(environment[variable] ?? 1);
    if (!(count > 1)) continue;
    throw new UserError({
      where: `${variable}=${count}`,
      what: `${launcher} started several processes, and each would do all the work alone, in the same folders`,
      expected: "1 process, which uses all cores it is given",
      remedy: launcher === "srun" ? "srun --ntasks=1, or sbatch scripts/exec.sh" : "start tandem by itself",
    });
  }
}
