/**
 * Who has been silent for how long, counted in this process's own heartbeats and not by the clock. The trap that this avoids: a process that was stopped itself (SIGSTOP, a suspended machine, a long
 * garbage collection) wakes up with the clock far ahead and everybody's messages still unread; it has missed many heartbeats of its own, so it accuses nobody.
 */

/** How often drivers tell each other that they live. */
export interface Rhythm {
  /** Milliseconds from one heartbeat to the next. */
  readonly beat: number;
  /** Milliseconds of silence that end the team. */
  readonly silence: number;
}

export class Pulse {
  readonly #missed = new Map<number, number>();
  readonly #timer: NodeJS.Timeout;
  readonly #allowed: number;

  /**
   * @param beat called at each heartbeat, before anybody is accused
   * @param silent called with a rank that was silent for too long, once
   */
  constructor(ranks: Iterable<number>, rhythm: Rhythm, beat: () => void, silent: (rank: number) => void) {
    this.#allowed = Math.max(2, Math.ceil(rhythm.silence / rhythm.beat));
    for (const rank of ranks) this.#missed.set(rank, 0);
    // An interval that is late isn't made up for: after a stop there is one heartbeat, not many.
    this.#timer = setInterval(() => {
      beat();
      for (const [rank, missed] of this.#missed) {
        this.#missed.set(rank, missed + 1);
        if (missed + 1 <= this.#allowed) continue;
        this.#missed.delete(rank);
        silent(rank);
      }
    }, rhythm.beat);
  }

  heard(rank: number): void {
    if (this.#missed.has(rank)) this.#missed.set(rank, 0);
  }

  /** This rank is expected to be silent from now on. */
  forget(rank: number): void {
    this.#missed.delete(rank);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#missed.clear();
  }
}
