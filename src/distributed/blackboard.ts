/**
 * Small values that the drivers tell each other: one from rank 0 to all, or one from each to all. Not for tensors, and not quick: every value goes through rank 0. The traps: all ranks must make the
 * same calls in the same order, as with any collective; and a value may arrive before it is asked for, so it is kept.
 */
import { UserError } from "../errors.js";

/** The most bytes of one value as JSON. */
export const VALUE_LIMIT = 1 << 16;

export type BlackboardMessage =
  /** Rank 0's value of the round. */
  | { readonly type: "shared"; readonly round: number; readonly value: unknown }
  /** One rank's value, to rank 0. */
  | { readonly type: "part"; readonly round: number; readonly value: unknown }
  /** All values in the order of the ranks. */
  | { readonly type: "gathered"; readonly round: number; readonly value: readonly unknown[] }
  /** It will never be complete: this rank left before. */
  | { readonly type: "absent"; readonly round: number; readonly rank: number };

type Outcome = { readonly value: unknown } | { readonly error: Error };

export class Blackboard {
  readonly #rank: number;
  readonly #size: number;
  /** To rank 0, or from it to all. */
  readonly #send: (message: BlackboardMessage) => void;
  #shares = 0;
  #gathers = 0;
  /** What came before it was asked for. */
  readonly #outcomes = new Map<string, Outcome>();
  readonly #waiting = new Map<string, (outcome: Outcome) => void>();
  /** At rank 0: the values of gatherings that aren't complete. */
  readonly #parts = new Map<number, Map<number, unknown>>();
  readonly #left = new Set<number>();
  #end: Error | undefined;

  constructor(rank: number, size: number, send: (message: BlackboardMessage) => void) {
    this.#rank = rank;
    this.#size = size;
    this.#send = send;
  }

  async share(value: unknown): Promise<unknown> {
    const round = this.#shares++;
    if (this.#rank !== 0) return await this.#outcomeOf(`share ${round}`);
    const sent = checked(value);
    if (this.#end !== undefined) throw this.#end;
    this.#send({ type: "shared", round, value: sent });
    return sent;
  }

  async gather(value: unknown): Promise<unknown[]> {
    const round = this.#gathers++;
    const part = checked(value);
    const outcome = this.#outcomeOf(`gather ${round}`);
    if (this.#rank === 0) this.#add(round, 0, part);
    else this.#send({ type: "part", round, value: part });
    return (await outcome) as unknown[];
  }

  take(message: BlackboardMessage, from: number): void {
    if (message.type === "shared") this.#arrive(`share ${message.round}`, { value: message.value });
    else if (message.type === "gathered") this.#arrive(`gather ${message.round}`, { value: message.value });
    else if (message.type === "absent") this.#arrive(`gather ${message.round}`, { error: absent(message.rank) });
    else if (this.#rank === 0) this.#add(message.round, from, message.value);
  }

  /** At rank 0: this rank gives no more values. */
  leave(rank: number): void {
    this.#left.add(rank);
    for (const round of this.#parts.keys()) this.#settle(round);
  }

  /** Whatever didn't come yet doesn't come any more. */
  end(error: Error): void {
    this.#end ??= error;
    for (const [key, resolve] of this.#waiting) {
      this.#waiting.delete(key);
      resolve({ error: this.#end });
    }
  }

  async #outcomeOf(key: string): Promise<unknown> {
    const outcome = await new Promise<Outcome>((resolve) => {
      const early = this.#outcomes.get(key) ?? (this.#end === undefined ? undefined : { error: this.#end });
      this.#outcomes.delete(key);
      if (early === undefined) this.#waiting.set(key, resolve);
      else resolve(early);
    });
    if ("error" in outcome) throw outcome.error;
    return outcome.value;
  }

  #arrive(key: string, outcome: Outcome): void {
    const resolve = this.#waiting.get(key);
    this.#waiting.delete(key);
    if (resolve === undefined) this.#outcomes.set(key, outcome);
    else resolve(outcome);
  }

  #add(round: number, rank: number, value: unknown): void {
    const parts = this.#parts.get(round) ?? new Map<number, unknown>();
    parts.set(rank, value);
    this.#parts.set(round, parts);
    this.#settle(round);
  }

  #settle(round: number): void {
    const parts = this.#parts.get(round) ?? new Map<number, unknown>();
    const gone = [...this.#left].find((rank) => !parts.has(rank));
    if (parts.size < this.#size && gone === undefined) return;
    const values = Array.from({ length: this.#size }, (_, rank) => parts.get(rank));
    const message: BlackboardMessage =
      gone === undefined ? { type: "gathered", round, value: values } : { type: "absent", round, rank: gone };
    this.#parts.delete(round);
    this.#send(message);
    this.take(message, 0);
  }
}

/** As the others will see it: JSON has no undefined. */
function checked(value: unknown): unknown {
  const text = JSON.stringify(value ?? null);
  if (Buffer.byteLength(text) > VALUE_LIMIT)
    throw new RangeError(`a value of more than ${VALUE_LIMIT} bytes doesn't go over the blackboard`);
  return JSON.parse(text);
}

function absent(rank: number): UserError {
  return new UserError({ where: `rank ${rank}`, what: "left before all values were exchanged" });
}
