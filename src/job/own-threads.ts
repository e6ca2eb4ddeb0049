/** How many threads one of several processes of a machine computes with, where the config leaves it open. The trap: libtorch sees the cores that a launcher binds a process to, but not those that it only counts. */

/** undefined: libtorch's own number, `threads`. @param cores of this process alone, where a launcher says so; else those of the machine are divided among its `localWorkers` */
export function ownThreads(
  { localWorkers, cores }: { readonly localWorkers: number; readonly cores?: number | undefined },
  threads: number,
): number | undefined {
  if (cores !== undefined) return Math.max(1, Math.min(cores, threads));
  return localWorkers > 1 ? Math.max(1, Math.floor(threads / localWorkers)) : undefined;
}
