/**
 * What a container or a batch job lets this process have: memory and processors from its control group, version 2 or 1.
 * It isn't what the machine has, and it never fails: what can't be read is "no limit". The trap: a limit may stand on any folder above the process's own.
 */

/** Reads a small text file; undefined when it can't be read. */
export type ReadText = (path: string) => string | undefined;

export interface GroupLimits {
  /** Bytes that all processes of the group may hold together; the kernel kills one that asks for more. */
  readonly memoryBytes?: number;
  /** Bytes that the group with that limit holds now, file cache included. */
  readonly memoryUsedBytes?: number;
  /** Processors' worth of time, such as 1.5. */
  readonly cpus?: number;
}

/** Version 1 writes "no limit" as a number near 2^63. */
const unlimited = 2 ** 60;

/** The tightest limits on the way from this process's group up to the root. */
export function groupLimits(read: ReadText): GroupLimits {
  const groups = (read("/proc/self/cgroup") ?? "").split("\n").filter((line) => line !== "");
  const memory: { limit: number; used: number | undefined }[] = [];
  const cpus: number[] = [];
  for (const line of groups) {
    const [, controllers = "", path = "/"] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    for (const folder of upwards(path)) {
      if (controllers === "") readVersion2(read, `/sys/fs/cgroup${folder}`, memory, cpus);
      else readVersion1(read, controllers.split(","), folder, memory, cpus);
    }
  }
  const tightest = memory.sort((a, b) => a.limit - b.limit)[0];
  return {
    ...(tightest === undefined ? {} : { memoryBytes: tightest.limit }),
    ...(tightest?.used === undefined ? {} : { memoryUsedBytes: tightest.used }),
    ...(cpus.length === 0 ? {} : { cpus: Math.min(...cpus) }),
  };
}

/** `/a/b` → `/a/b`, `/a`, and the root as the empty string. */
function upwards(path: string): string[] {
  const parts = path.split("/").filter((part) => part !== "" && part !== "..");
  return Array.from({ length: parts.length + 1 }, (_, cut) => {
    const kept = parts.slice(0, parts.length - cut);
    return kept.length === 0 ? "" : `/${kept.join("/")}`;
  });
}

function readVersion2(read: ReadText, folder: string, memory: { limit: number; used: number | undefined }[], cpus: number[]): void {
  const limit = count(read(`${folder}/memory.max`));
  if (limit !== undefined) memory.push({ limit, used: count(read(`${folder}/memory.current`)) });
  const [quota, period] = (read(`${folder}/cpu.max`) ?? "").trim().split(/\s+/);
  addShare(cpus, count(quota), count(period));
}

function readVersion1(
  read: ReadText,
  controllers: readonly string[],
  folder: string,
  memory: { limit: number; used: number | undefined }[],
  cpus: number[],
): void {
  const mount = `/sys/fs/cgroup/${controllers.join(",")}${folder}`;
  if (controllers.includes("memory")) {
    const limit = count(read(`${mount}/memory.limit_in_bytes`));
    if (limit !== undefined && limit < unlimited) memory.push({ limit, used: count(read(`${mount}/memory.usage_in_bytes`)) });
  }
  if (controllers.includes("cpu")) addShare(cpus, count(read(`${mount}/cpu.cfs_quota_us`)), count(read(`${mount}/cpu.cfs_period_us`)));
}

function addShare(cpus: number[], quota: number | undefined, period: number | undefined): void {
  if (quota !== undefined && period !== undefined && period > 0) cpus.push(quota / period);
}

/** A count in a kernel file; undefined for "max", -1, nothing or nonsense. */
function count(text: string | undefined): number | undefined {
  return text !== undefined && /^\s*\d+\s*$/.test(text) ? Number(text) : undefined;
}
