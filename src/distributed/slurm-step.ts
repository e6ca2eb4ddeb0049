/**
 * What Slurm says about a task of a step that `srun` started. Not for the batch script: Slurm sets SLURM_PROCID and SLURM_NTASKS there too, though only one shell runs. The trap: only a step has
 * SLURM_STEP_ID, and only SLURM_STEP_* speak of the step; the names without it may still be those of the whole job.
 * Source: srun(1), OUTPUT ENVIRONMENT VARIABLES, Slurm 22.05.
 */
import { UserError } from "../errors.js";
import { checkedPort, countOf, type Environment, neededCountOf, portOf, requireBelow, textOf } from "./launch-variables.js";
import { expandNodeList } from "./node-list.js";

/** What `srun` claims before anything else is read. */
export interface StepClaim {
  readonly rank: number;
  readonly size: number;
  readonly sizeVariable: string;
}

export interface SlurmTask {
  readonly localRank: number;
  readonly localSize: number;
  readonly nodeRank: number;
  readonly host: string;
  readonly port: number;
}

/** Rank and size in the step, or nothing outside of one. */
export function stepClaim(environment: Environment): StepClaim | undefined {
  if (textOf(environment, "SLURM_STEP_ID") === undefined) return undefined;
  const sizeVariable = ["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"].find((name) => textOf(environment, name) !== undefined);
  if (sizeVariable === undefined) return undefined;
  const size = neededCountOf(environment, sizeVariable, "a step of Slurm's is running");
  if (size <= 1) return undefined;
  const rank = neededCountOf(environment, "SLURM_PROCID", `${sizeVariable} is ${size}`);
  requireBelow(rank, size, ["SLURM_PROCID", sizeVariable]);
  return { rank, size, sizeVariable };
}

/** Job and step as Slurm writes them, `17.0`. */
export function stepName(environment: Environment): string {
  return `${textOf(environment, "SLURM_JOB_ID") ?? "?"}.${textOf(environment, "SLURM_STEP_ID") ?? "?"}`;
}

/** How often the job was put back into the queue: the variable is absent the first time. */
export function requeuesOf(environment: Environment): number {
  return countOf(environment, "SLURM_RESTART_COUNT") ?? 0;
}

/** Place on the node, and where the first task is met. */
export function slurmTask(environment: Environment, { size }: StepClaim): SlurmTask {
  const nodeRank = countOf(environment, "SLURM_NODEID") ?? 0;
  const localRank = neededCountOf(environment, "SLURM_LOCALID", "a step of Slurm's is running");
  const localSize = tasksOnNode(environment, nodeRank, size);
  requireBelow(localRank, localSize, ["SLURM_LOCALID", "the node's tasks"]);
  return {
    localRank,
    localSize,
    nodeRank,
    host: textOf(environment, "MASTER_ADDR") ?? hostsOf(environment)[0] ?? "",
    port: slurmPort(environment),
  };
}

function hostsOf(environment: Environment): string[] {
  const name = ["SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"].find((list) => textOf(environment, list) !== undefined);
  if (name !== undefined) return expandNodeList(textOf(environment, name) ?? "", name);
  throw new UserError({
    where: "SLURM_STEP_NODELIST",
    what: "isn't set, so nobody knows where rank 0 is",
    remedy: "set MASTER_ADDR to the first node, or start with srun",
  });
}

/** A port that all tasks agree on without a word, and that seldom is another job's. */
function slurmPort(environment: Environment): number {
  const given = portOf(environment, "TANDEM_PORT") ?? portOf(environment, "MASTER_PORT");
  return (
    given ?? checkedPort(10_000 + (neededCountOf(environment, "SLURM_JOB_ID", "a step of Slurm's is running") % 50_000), "SLURM_JOB_ID")
  );
}

/** From `2(x3),1`: two tasks on each of three nodes, then one. */
function tasksOnNode(environment: Environment, nodeRank: number, size: number): number {
  const name = ["SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"].find((list) => textOf(environment, list) !== undefined);
  const nodes = countOf(environment, "SLURM_STEP_NUM_NODES") ?? countOf(environment, "SLURM_JOB_NUM_NODES");
  if (name === undefined && nodes === 1) return size;
  const text = textOf(environment, name ?? "") ?? "";
  const counts = text.split(",").flatMap((item) => {
    const [, tasks, times = "1"] = /^(\d{1,6})(?:\(x(\d{1,6})\))?$/.exec(item) ?? [];
    return tasks === undefined ? [NaN] : Array.from({ length: Number(times) }, () => Number(tasks));
  });
  const total = counts.reduce((sum, count) => sum + count, 0);
  const here = counts[nodeRank];
  if (total === size && here !== undefined) return here;
  throw new UserError({
    where: name ?? "SLURM_STEP_TASKS_PER_NODE",
    what: `doesn't say how many tasks node ${nodeRank} of this step has`,
    expected: `a list like 2(x3),1 of ${size} tasks`,
    got: name === undefined ? "nothing" : `'${text}'`,
    remedy: "start with srun, and leave its variables as they are",
  });
}
