/**
 * What a schedule makes the run do beside its steps, counted: indexes that are embedded, searches for the training questions, validations, checkpoints, and how many versions of each lie on the disk at once. A walk over the planned entries
 * with a number for the retriever as it is; no models. The traps: a validation embeds the corpus where the retriever has moved, and the refresh after it finds that index; and what is kept is what the kept checkpoints refer to.
 */

/** One entry, as far as this file cares. */
export interface WorkedEntry {
  readonly phase: string;
  readonly trainsRetriever: boolean;
  /** Validations, the last one at its end where it has one there. */
  readonly validations: number;
  readonly checkpoints: number;
  /** A phase that reads the index or mines from it. */
  readonly mines: boolean;
}

export interface WorkedRun {
  /** Newest checkpoints that are kept. */
  readonly keepLast: number;
  /** The best one is kept too. */
  readonly keepsBest: boolean;
  /** The report has a row of the retriever as it began. */
  readonly hasBaseRow: boolean;
  /** The report has a row of the trained retriever. */
  readonly hasTrainedRow: boolean;
  /** The index is made once, at the first refresh: `train.reader.fixed_index`. */
  readonly isFixed: boolean;
}

export interface ScheduleWork {
  /** Times that the corpus is embedded and an index is made. */
  readonly indexes: number;
  /** Times that all training questions are searched. */
  readonly searches: number;
  readonly validations: number;
  readonly mines: number;
  /** Checkpoints that are written. */
  readonly checkpoints: number;
  /** Most index folders at once, one under way among them. */
  readonly mostIndexes: number;
  /** Most lists of what was found for the training questions. */
  readonly mostSearches: number;
  /** Most checkpoints at once, one under way among them. */
  readonly mostCheckpoints: number;
  /** At the run's end. */
  readonly lastIndexes: number;
  readonly lastCheckpoints: number;
}

interface Saved {
  readonly index: number | undefined;
  readonly validated: number | undefined;
}

/** Walks the schedule. A best checkpoint is taken to be an old one that refers to an index of its own: the most that can lie there. */
export function scheduleWork(entries: readonly WorkedEntry[], run: WorkedRun): ScheduleWork {
  const walk = new Walk(run);
  for (const entry of entries) walk.over(entry);
  return walk.end();
}

class Walk {
  readonly #run: WorkedRun;
  /** How often the retriever was trained. */
  #version = 0;
  readonly #made = new Set<number>();
  #current: Saved = { index: undefined, validated: undefined };
  #saved: Saved[] = [];
  readonly #counts = { searches: 0, validations: 0, mines: 0, checkpoints: 0, mostIndexes: 0, mostSearches: 0 };

  constructor(run: WorkedRun) {
    this.#run = run;
  }

  over({ phase, trainsRetriever, validations, checkpoints, mines }: WorkedEntry): void {
    if (phase === "refresh") {
      this.#make();
      this.#counts.searches += 1;
      this.#current = { ...this.#current, index: this.#now };
    }
    if (mines) this.#counts.mines += 1;
    const inside = Math.max(0, checkpoints - 1);
    for (let i = 0; i < inside; i++) this.#save();
    for (let i = 0; i < validations; i++) {
      if (trainsRetriever) this.#version += 1;
      this.#validate();
    }
    if (trainsRetriever && validations === 0) this.#version += 1;
    this.#save();
  }

  end(): ScheduleWork {
    if (this.#run.hasTrainedRow) this.#make();
    if (this.#run.hasBaseRow) this.#made.add(0);
    const { mostIndexes, ...counts } = this.#counts;
    const kept = Math.min(counts.checkpoints, this.#run.keepLast + (this.#run.keepsBest ? 1 : 0));
    const last = this.#kept();
    return {
      ...counts,
      indexes: this.#made.size,
      mostIndexes: Math.max(mostIndexes, last),
      mostCheckpoints: Math.min(counts.checkpoints, kept + 1),
      lastIndexes: last,
      lastCheckpoints: kept,
    };
  }

  /** The retriever of the passages. */
  get #now(): number {
    return this.#run.isFixed ? 0 : this.#version;
  }

  #make(): void {
    this.#made.add(this.#now);
    this.#counts.mostIndexes = Math.max(this.#counts.mostIndexes, this.#kept(this.#now));
  }

  #validate(): void {
    this.#counts.validations += 1;
    this.#make();
    this.#current = { ...this.#current, validated: this.#now };
  }

  #save(): void {
    this.#counts.checkpoints += 1;
    this.#saved = [...this.#saved, this.#current].slice(-this.#run.keepLast);
    const lists = new Set([...this.#saved, this.#current].flatMap(({ index }) => index ?? []));
    this.#counts.mostSearches = Math.max(this.#counts.mostSearches, Math.min(this.#counts.searches, lists.size + this.#best));
  }

  get #best(): number {
    return this.#run.keepsBest ? 1 : 0;
  }

  /** Index folders that something refers to now; never more than were made. */
  #kept(...more: number[]): number {
    const referred = [...this.#saved, this.#current].flatMap(({ index, validated }) => [index, validated]);
    const all = new Set([...referred, ...more, ...(this.#run.hasBaseRow && this.#made.has(0) ? [0] : [])]);
    all.delete(undefined);
    return Math.min(this.#made.size, all.size + this.#best);
  }
}
