/**
 * Which worker keeps the optimiser's moments of which parameter. A pure function of names, sizes, the number of workers and what was dealt before, so that all workers deal alike without asking each other. Whole tensors are dealt, not
 * ranges of elements: each then has one owner that updates it with the very kernel, memory and shape of the unsharded step, and a checkpoint's tensors stay what they are. The price is balance: nobody can have less than the largest tensor, so
 * with w workers the fullest has at most total / w + the largest tensor, and a table of word embeddings that is half of a model gives its owner half of the moments.
 * The trap: ties. Sorting by size alone would leave them to the order in which a model's parameters happen to stand.
 */

/** Deals the tensors of one model after another. */
export class TensorDealer {
  /** Elements that each worker has of all models so far. */
  readonly #total: number[];

  constructor(workers: number) {
    this.#total = new Array<number>(workers).fill(0);
  }

  /**
   * The rank that owns each tensor of a model: largest first, each to the worker that has the fewest elements of this model (Graham 1969, "Bounds on multiprocessing timing anomalies"); among equals to the one with the fewest of
   * all models, so that two models' largest tensors fall into different hands.
   *
   * @param sizes elements by name
   */
  deal(sizes: ReadonlyMap<string, number>): Map<string, number> {
    const own = this.#total.map(() => 0);
    const inOrder = [...sizes].sort(([left, many], [right, few]) => few - many || (left < right ? -1 : 1));
    const owners = new Map<string, number>();
    for (const [name, size] of inOrder) {
      const owner = this.#leastLaden(own);
      owners.set(name, owner);
      own[owner] = (own[owner] ?? 0) + size;
      this.#total[owner] = (this.#total[owner] ?? 0) + size;
    }
    return owners;
  }

  #leastLaden(own: readonly number[]): number {
    const loads = own.map((load, rank) => ({ rank, load, total: this.#total[rank] ?? 0 }));
    const [least] = loads.sort((a, b) => a.load - b.load || a.total - b.total || a.rank - b.rank);
    if (least === undefined) throw new Error("tensors dealt to no worker");
    return least.rank;
  }
}
