/** How a training run ends, as a batch script sees it. `requeue` is BSD's EX_TEMPFAIL: the state is saved, run the same command again. */
export const EXIT = { finished: 0, bug: 1, userError: 2, requeue: 75 } as const;
