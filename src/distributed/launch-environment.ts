/**
 * Which of how many processes this one is, by what torchrun, srun or a script of the user's says in the environment. It opens no connection and keeps nothing: ranks change from attempt to attempt.
 * Contradictions are refused, never guessed at: a wrong guess is several trainings in one folder, or a wait without end. The traps: under torchrun MASTER_PORT is taken already, by its agent's
 * store; and srun may have started torchrun's agents, not us, so that Slurm's ranks are those of the agents.
 * Source: torch.distributed.run, "Environment Variables"; srun(1).
 */
import { UserError } from "../errors.js";
import { LAUNCH_ID } from "./handed-server.js";
import { checkedPort, countOf, type Environment, missing, neededCountOf, portOf, requireBelow, textOf } from "./launch-variables.js";
import { requeuesOf, slurmTask, stepClaim, type StepClaim, stepName } from "./slurm-step.js";

/** One process among those that a launcher started. */
export interface LaunchPlace {
  /** `tandem`: `tandem launch`. `script`: whoever set RANK and WORLD_SIZE by hand. */
  readonly launcher: "torchrun" | "slurm" | "tandem" | "script";
  readonly rank: number;
  readonly size: number;
  readonly localRank: number;
  /** How many of the processes run on this node. */
  readonly localSize: number;
  readonly nodeRank?: number;
  /** What the launcher calls the node, where it says so; the system's name may be another. */
  readonly nodeName?: string;
  /** Where rank 0 is met. */
  readonly host: string;
  readonly port: number;
  /** What all processes of the job, and no others, call it. */
  readonly jobId: string;
  /** How often the launcher started the job again. */
  readonly attempt: number;
  readonly cpusPerTask?: number;
}

/**
 * This process's place, or nothing when no launcher started it beside others. A torchrun of one process is a launcher too: its restarts count.
 *
 * @throws UserError when the variables contradict each other, or name a launcher that leaves its processes without ranks
 */
export function launchPlace(environment: Environment): LaunchPlace | undefined {
  const step = stepClaim(environment);
  const mpi = mpiClaim(environment);
  if (textOf(environment, "RANK") !== undefined)
    return rankedPlace(environment, [...(step === undefined ? [] : [slurmClaim(step)]), ...mpi]);
  const size = countOf(environment, "WORLD_SIZE");
  // Many batch scripts set WORLD_SIZE for all tasks and leave the rank to Slurm: that agrees with it, or is refused.
  if (size !== undefined && size !== (step?.size ?? 1))
    throw missing("RANK", `WORLD_SIZE is ${size}${step === undefined ? "" : ` and ${step.sizeVariable} is ${step.size}`}`);
  for (const claim of mpi) if (claim.size !== step?.size) throw withoutRank(claim);
  if (step === undefined) return undefined;
  return {
    launcher: "slurm",
    rank: step.rank,
    size: step.size,
    ...slurmTask(environment, step),
    jobId: stepName(environment),
    attempt: requeuesOf(environment),
    ...nodeNameOf(environment),
    ...cpusOf(environment),
  };
}

/** How many tasks a Slurm job asked for whose batch script runs this one process, without srun: the others don't exist. Nothing when that is as it should be. */
export function tasksWithoutStep(environment: Environment): number | undefined {
  if (textOf(environment, "SLURM_STEP_ID") !== undefined || textOf(environment, "RANK") !== undefined) return undefined;
  const tasks = countOf(environment, "SLURM_NTASKS") ?? 1;
  return tasks > 1 ? tasks : undefined;
}

/** What a launcher says beside RANK and WORLD_SIZE. */
interface Claim {
  readonly launcher: string;
  readonly rankVariable: string;
  readonly rank: number | undefined;
  readonly sizeVariable: string;
  readonly size: number;
}

function slurmClaim({ rank, size, sizeVariable }: StepClaim): Claim {
  return { launcher: "srun", rankVariable: "SLURM_PROCID", rank, sizeVariable, size };
}

/** Open MPI's, and that of MPICH and its kin, where they started more than one process. */
function mpiClaim(environment: Environment): Claim[] {
  return (
    [
      ["mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"],
      ["mpiexec", "PMI_RANK", "PMI_SIZE"],
    ] as const
  ).flatMap(([launcher, rankVariable, sizeVariable]) => {
    const size = countOf(environment, sizeVariable) ?? 1;
    return size > 1 ? [{ launcher, rankVariable, rank: countOf(environment, rankVariable), sizeVariable, size }] : [];
  });
}

function withoutRank({ launcher, sizeVariable, size }: Claim): UserError {
  return new UserError({
    where: `${sizeVariable}=${size}`,
    what: `${launcher} started several processes, and each would do all the work alone, in the same folders`,
    expected: "1 process, or ranks from srun or torchrun",
    remedy:
      "start with srun or torchrun, or set RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT for each process",
  });
}

/** The place by RANK and WORLD_SIZE. */
function rankedPlace(environment: Environment, outer: readonly Claim[]): LaunchPlace {
  const rank = neededCountOf(environment, "RANK", "WORLD_SIZE is");
  const size = neededCountOf(environment, "WORLD_SIZE", `RANK is ${rank}`);
  requireBelow(rank, size, ["RANK", "WORLD_SIZE"]);
  const run = textOf(environment, "TORCHELASTIC_RUN_ID");
  const launch = textOf(environment, LAUNCH_ID);
  for (const claim of outer) {
    if (run === undefined) requireSame(claim, rank, size);
    else requireManyAgents(claim, environment);
  }
  const isStep = outer.some(({ launcher }) => launcher === "srun");
  const nodeRank = countOf(environment, "GROUP_RANK");
  return {
    launcher: run === undefined ? (launch === undefined ? "script" : "tandem") : "torchrun",
    rank,
    size,
    ...localPlace(environment, size),
    ...(nodeRank === undefined ? {} : { nodeRank }),
    ...(isStep ? nodeNameOf(environment) : {}),
    ...meetingPlace(environment, size),
    jobId: run ?? launch ?? (isStep ? stepName(environment) : "script"),
    attempt: run === undefined ? (isStep ? requeuesOf(environment) : 0) : attemptOf(environment),
    // Beside torchrun's agents they are an agent's processors, not ours.
    ...(run === undefined && isStep ? cpusOf(environment) : {}),
  };
}

/** A script's ranks are those of the launcher that started its processes, or one of the two is mistaken. */
function requireSame(claim: Claim, rank: number, size: number): void {
  if (claim.size === size && (claim.rank === undefined || claim.rank === rank)) return;
  throw new UserError({
    where: `RANK=${rank}, WORLD_SIZE=${size}`,
    what: `${claim.launcher} says otherwise`,
    expected: `${claim.rankVariable}=${claim.rank ?? "?"}, ${claim.sizeVariable}=${claim.size}`,
    remedy: `unset RANK and WORLD_SIZE, or start one process with ${claim.launcher}`,
  });
}

/** What was started beside each other are torchrun's agents. Those that don't know of each other would make as many trainings in the same folders. */
function requireManyAgents(claim: Claim, environment: Environment): void {
  if (countOf(environment, "GROUP_WORLD_SIZE") !== 1) return;
  throw new UserError({
    where: `${claim.sizeVariable}=${claim.size}`,
    what: `${claim.launcher} started several torchruns that don't know of each other, and each would do all the work alone, in the same folders`,
    expected: `torchrun --nnodes=${claim.size}`,
    got: "GROUP_WORLD_SIZE=1",
    remedy: `give torchrun --nnodes=${claim.size} and one --rdzv-endpoint, or leave torchrun out`,
  });
}

function localPlace(environment: Environment, size: number): Pick<LaunchPlace, "localRank" | "localSize"> {
  const isAlone = size === 1 && textOf(environment, "LOCAL_RANK") === undefined && textOf(environment, "LOCAL_WORLD_SIZE") === undefined;
  if (isAlone) return { localRank: 0, localSize: 1 };
  const because = `WORLD_SIZE is ${size}: memory and processors are shared out by it`;
  const localRank = neededCountOf(environment, "LOCAL_RANK", because);
  const localSize = neededCountOf(environment, "LOCAL_WORLD_SIZE", because);
  requireBelow(localRank, localSize, ["LOCAL_RANK", "LOCAL_WORLD_SIZE"]);
  requireBelow(localSize - 1, size, ["LOCAL_WORLD_SIZE - 1", "WORLD_SIZE"]);
  return { localRank, localSize };
}

function meetingPlace(environment: Environment, size: number): Pick<LaunchPlace, "host" | "port"> {
  // One process meets nobody.
  const host = textOf(environment, "MASTER_ADDR") ?? (size === 1 ? "127.0.0.1" : undefined);
  if (host === undefined) throw missing("MASTER_ADDR", `WORLD_SIZE is ${size}`);
  const own = portOf(environment, "TANDEM_PORT");
  if (own !== undefined) return { host, port: own };
  const master = portOf(environment, "MASTER_PORT") ?? (size === 1 ? 29_500 : undefined);
  if (master === undefined) throw missing("MASTER_PORT", `WORLD_SIZE is ${size}`);
  if (textOf(environment, "TORCHELASTIC_USE_AGENT_STORE")?.toLowerCase() !== "true") return { host, port: master };
  // Another port for each attempt: a process of the last one that isn't dead yet can't be met.
  return { host, port: checkedPort(master + 1 + attemptOf(environment), `MASTER_PORT=${master}`) };
}

function attemptOf(environment: Environment): number {
  return countOf(environment, "TORCHELASTIC_RESTART_COUNT") ?? 0;
}

function nodeNameOf(environment: Environment): { nodeName?: string } {
  const nodeName = textOf(environment, "SLURMD_NODENAME");
  return nodeName === undefined ? {} : { nodeName };
}

function cpusOf(environment: Environment): { cpusPerTask?: number } {
  const cpusPerTask = countOf(environment, "SLURM_CPUS_PER_TASK");
  return cpusPerTask === undefined ? {} : { cpusPerTask };
}
