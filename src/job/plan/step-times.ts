/**
 * What a step of each kind of phase costs one worker: seconds, memory, and what it would send. Real steps on real batches, at a learning rate of 0, so weights stay what they are and nothing can diverge. A phase that reads an index is
 * measured on stand-ins for what it will find (PhaseMaker.standIn). The trap: the first step of a kind is slower than all others and isn't counted.
 */
import { configOfEntry } from "../../config/phase-settings.js";
import { newProgress } from "../../training/run-state.js";
import type { EpochSize } from "../../training/batches.js";
import type { SchedulePosition } from "../../training/schedule.js";
import { train, type TrainedPhase } from "../../training/trainer.js";
import type { OpenRun } from "../run/open-run.js";
import { loneShare } from "./lone-share.js";
import { ownSeconds } from "./own-clock.js";
import { forgetPeak, peakBytes } from "./resident-memory.js";

/** A phase of a kind. */
export interface Kind {
  /** Phase, contexts and settings of its own. */
  readonly key: string;
  readonly phase: string;
  readonly trained: TrainedPhase;
  /** The first step at which contexts have their full length: there it is measured. */
  readonly from: number;
  readonly epoch: EpochSize | undefined;
}

/** What a step costs one of several workers. */
export interface StepCost {
  /** Of each step that was measured, without waiting for the others. */
  readonly times: readonly number[];
  /** Their mean. */
  readonly seconds: number;
  /** Most memory that the process held. */
  readonly peakBytes: number | undefined;
  /** A step's exchanges of a few bytes. */
  readonly messages: number;
  /** A step's bytes of gathered rows, of all workers together. */
  readonly rowBytes: number;
  /** A step's bytes of summed gradients. */
  readonly gradientBytes: number;
}

/** How long a kind is measured. */
export interface MeasuredFor {
  readonly seconds: number;
  /** Steps after the first one, however long they take. */
  readonly least: number;
  readonly most: number;
}

export class StepTimes {
  readonly #run: OpenRun;
  readonly #kinds = new Map<string, Kind>();

  constructor(run: OpenRun) {
    this.#run = run;
  }

  /** The phase at a place, made once for all places that make it alike. */
  kindOf(place: SchedulePosition): Kind {
    const settings = this.#run.config.train.schedule[place.phaseIndex]?.with;
    const own = settings === null || settings === undefined ? "" : ` ${JSON.stringify(settings)}`;
    const key = `${place.phase}${place.contexts === undefined ? "" : ` ${place.contexts}`}${own}`;
    const known = this.#kinds.get(key);
    if (known !== undefined) return known;
    const steps = Math.max(1, place.stepsOfKind);
    const { phases, config } = this.#run;
    const { curriculum } = configOfEntry(config, place.phaseIndex).train.generator;
    const kind = {
      key,
      phase: place.phase,
      trained: phases.standIn(place, steps),
      // What was retrieved is shown whole from the start.
      from: place.contexts === "gold" || place.contexts === "copying" ? Math.ceil(curriculum.share * steps) : 0,
      // As a length in epochs is counted.
      epoch: phases.standIn(place).phase.epoch?.(),
    };
    this.#kinds.set(key, kind);
    return kind;
  }

  /** Takes steps as the first of `workers` workers would. */
  async measure({ key, phase, trained, from }: Kind, workers: number, { seconds, least, most }: MeasuredFor): Promise<StepCost> {
    const { report, state } = this.#run;
    const { share, traffic } = loneShare(workers);
    const times: number[] = [];
    const began = performance.now();
    let last = ownSeconds();
    forgetPeak();
    await train(
      { schedule: [{ phase, steps: 1 + most }], checkpointEvery: undefined, share },
      {
        phaseAt: () => still(trained, from),
        refresh: () => Promise.resolve(),
        stepped: () => {
          times.push(ownSeconds() - last);
          const name = workers === 1 ? `measuring ${key}` : `measuring ${key}, 1 of ${workers} workers`;
          report({ type: "progress", name, done: times.length, total: least === most ? 1 + most : Infinity, detail: "steps" });
          last = ownSeconds();
          return Promise.resolve();
        },
        save: () => undefined,
        phaseEnded: () => Promise.resolve(),
        stopRequested: () => times.length > least && performance.now() - began > 1000 * seconds,
      },
      { ...state, progress: newProgress() },
    );
    const a = (sum: number): number => Math.round(sum / times.length);
    return {
      ...timesOf(times.slice(1)),
      peakBytes: peakBytes(),
      messages: a(traffic.messages),
      rowBytes: a(traffic.rowBytes),
      gradientBytes: a(traffic.gradientBytes),
    };
  }
}

function timesOf(times: readonly number[]): Pick<StepCost, "times" | "seconds"> {
  return { times, seconds: times.reduce((sum, value) => sum + value, 0) / Math.max(1, times.length) };
}

/** Two measurements of the same steps: of each step the quicker one, since what disturbs a step only makes it slower. */
export function quicker(first: StepCost, second: StepCost): StepCost {
  const both = first.times.slice(0, second.times.length).map((time, i) => Math.min(time, second.times[i] ?? Infinity));
  const peaks = [first, second].flatMap(({ peakBytes: peak }) => peak ?? []);
  return { ...first, ...timesOf(both), peakBytes: peaks.length === 0 ? undefined : Math.max(...peaks) };
}

/** The phase from one of its steps on, with updates that move nothing. */
function still({ phase, updates }: TrainedPhase, from: number): TrainedPhase {
  return {
    phase: { ...phase, batch: (step, share) => phase.batch(from + step, share) },
    updates: updates.map((update) => ({ ...update, rate: () => 0 })),
  };
}

/**
 * Seconds of a step in one of so many workers: as measured, and between two numbers that were measured in a line over the share 1 / workers; beyond the largest, as there.
 *
 * @param costs by number of workers, at least one
 */
export function stepSeconds(costs: ReadonlyMap<number, Pick<StepCost, "seconds">>, workers: number): number {
  const known = [...costs].map(([number, { seconds }]) => ({ share: 1 / number, seconds })).sort((a, b) => a.share - b.share);
  const share = 1 / workers;
  const above = known.find((each) => each.share >= share);
  const below = known.filter((each) => each.share <= share).at(-1);
  if (above === undefined || below === undefined) return (above ?? below)?.seconds ?? NaN;
  if (above.share === below.share) return above.seconds;
  return below.seconds + ((above.seconds - below.seconds) * (share - below.share)) / (above.share - below.share);
}
