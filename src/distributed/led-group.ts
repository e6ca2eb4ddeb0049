/**
 * A process group whose first member leads: in its turn it may ask all for tasks by name, with plain data, and does its own part of each, while the others wait for the next one until the turn is over. It knows no task; all members
 * learn the same ones.
 * The traps: a task may hold collectives, so a member that fails in one says nothing and throws at once: its error is the one to be named, and whoever started the others ends them, wherever they wait. And after such a
 * failure nobody listens any more, so the leader tells no end of its turn either.
 */
import type { ProcessGroup } from "./process-group.js";

/** What the leader says. */
type Word = { readonly task: string; readonly order: unknown } | { readonly told: unknown };

/** Asks all members for a task and does this one's part. @param own what the leader has for it beside the order; the others' parts get none */
export type Asking<Order, Own, Result> = (order: Order, own?: Own) => Promise<Result>;

type Task = (order: unknown, own?: unknown) => Promise<unknown>;

export class LedGroup {
  readonly group: ProcessGroup;
  readonly #tasks = new Map<string, Task>();
  readonly #overs: (() => void)[] = [];
  #isLed = false;
  #isBroken = false;

  constructor(group: ProcessGroup) {
    this.group = group;
  }

  /** Whether the leader's turn is on: only then may it ask. */
  get isLed(): boolean {
    return this.#isLed;
  }

  /**
   * Says how a task is done; all members say so alike, before a turn.
   *
   * @param over called on every member when a turn is over
   * @returns what the leader asks all by; it settles when all have done their part
   */
  learn<Order, Own, Result>(
    name: string,
    task: Asking<Order, Own, Result>,
    over: () => void = () => undefined,
  ): Asking<Order, Own, Result> {
    this.#add(name, task as Task);
    this.#overs.push(over);
    return async (order, own) => {
      this.#ask(name, order);
      return (await this.#done(task as Task, order, own)) as Result;
    };
  }

  /** {@link learn} for a task that nobody may be interrupted in: it is done when what comes back has returned. */
  learnAtOnce<Order, Own, Result>(name: string, task: (order: Order, own?: Own) => Result): (order: Order, own?: Own) => Result {
    this.#add(name, (order) => Promise.resolve(task(order as Order)));
    return (order, own) => {
      this.#ask(name, order);
      try {
        const result = task(order, own);
        this.group.barrier();
        return result;
      } catch (error) {
        this.#isBroken = true;
        throw error;
      }
    };
  }

  #add(name: string, task: Task): void {
    if (this.#tasks.has(name)) throw new Error(`the task "${name}" is known already`);
    this.#tasks.set(name, task);
  }

  #ask(name: string, order: unknown): void {
    if (!this.#isLed) throw new Error(`"${name}" was asked for outside the leader's turn`);
    this.#say({ task: name, order });
  }

  /** The leader's turn begins; the others {@link follow}. */
  begin(): void {
    this.#isLed = true;
  }

  /** The leader's turn is over, with plain data for the others. Says nothing where a task failed. */
  end(told: unknown): void {
    this.#isLed = false;
    if (!this.#isBroken) this.#say({ told });
    for (const over of this.#overs) over();
  }

  /** Does what the leader asks for until its turn is over. Returns what it told then. @throws what this member failed of */
  async follow(): Promise<unknown> {
    for (;;) {
      const word = this.#say(null);
      if (word === null) throw new Error("the leader of the group said nothing");
      if ("told" in word) {
        for (const over of this.#overs) over();
        return word.told;
      }
      const task = this.#tasks.get(word.task);
      if (task === undefined) throw new Error(`nobody has said how "${word.task}" is done`);
      await this.#done(task, word.order);
    }
  }

  async #done(task: Task, order: unknown, own?: unknown): Promise<unknown> {
    try {
      const result = await task(order, own);
      this.group.barrier();
      return result;
    } catch (error) {
      this.#isBroken = true;
      throw error;
    }
  }

  /** Everybody hears the leader's word. */
  #say(word: Word | null): Word | null {
    return this.group.gatherValues("word of the leader", word)[0] ?? null;
  }
}
