/**
 * What a config would run, before it runs: each entry of the schedule with its steps, epochs, rates, validations and checkpoints, and with an estimate of its time from a few real steps of each kind. Data and first
 * weights are made in a temporary run directory that is gone afterwards. The traps: conditions can end a phase early, so counts are of the plan; and a phase that reads an index is measured on stand-ins for what it will find.
 */
import { rmSync } from "node:fs";
import path from "node:path";
import { renderYaml } from "../../config/render.js";
import type { TandemConfig } from "../../config/schema.js";
import { passageText } from "../../corpus/passage.js";
import { scope } from "../../engine/scope.js";
import { createRunDirectory } from "../../tracking/run-directory.js";
import { collectVersions } from "../../tracking/versions.js";
import { newProgress } from "../../training/run-state.js";
import { plannedSteps, positionAt, updatesNothing, type ScheduledPhase, type SchedulePosition } from "../../training/schedule.js";
import { train, type TrainedPhase } from "../../training/trainer.js";
import { checkMetrics, checkTraining } from "./check-training.js";
import { PHASES } from "../phases/phase-maker.js";
import { CLOSED_BOOK } from "../phases/phase-parts.js";
import { closeRun, openRun, type OpenRun } from "../run/open-run.js";
import type { Report } from "../reporter.js";
import { scratchFolder } from "../../storage/scratch-folder.js";

/** One entry of the schedule, as planned. null: nobody can know before it runs. */
export interface PlannedEntry {
  readonly entry: number;
  readonly phase: string;
  readonly contexts: string | null;
  /** Updates, at most; a refresh has none. */
  readonly steps: number | null;
  readonly minutes: number | null;
  readonly until: string | null;
  readonly when: string | null;
  /** Times that each usable example is met. */
  readonly epochs: number | null;
  /** Usable examples. */
  readonly examples: number | null;
  readonly first_rate: number | null;
  readonly last_rate: number | null;
  readonly validations: number | null;
  readonly checkpoints: number | null;
  /** The estimate; null without a measurement. */
  readonly seconds: number | null;
}

export interface RunPlan {
  readonly entries: readonly PlannedEntry[];
  /** Sum of the entries' estimates. */
  readonly seconds: number | null;
  /** Milliseconds that this very measurement found a step of each kind to take, and a passage of a refresh. */
  readonly measured: Readonly<Record<string, number>>;
  /** What the estimate leaves out, one line each. */
  readonly left_out: readonly string[];
}

/** Steps that are measured of each kind of phase, after one that isn't. */
const STEPS = 4;
/** Texts that are embedded for the estimate of a refresh. */
const TEXTS = 64;

/** @throws UserError for whatever training would refuse before its first step */
export async function planRun(config: TandemConfig, report: Report, isMeasured: boolean): Promise<RunPlan> {
  const temporary = scratchFolder("plan");
  try {
    const versions = collectVersions();
    const { path: folder } = createRunDirectory(temporary, { name: config.name, configYaml: renderYaml(config), overrides: [], versions });
    const run = await openRun(config, folder, report);
    try {
      const { train: learned, valid } = run.sets;
      const known = [...PHASES, CLOSED_BOOK];
      for (const text of checkTraining(config, run.schedule, known, learned, run.generator.tokenizer, run.phases.goldCount))
        report({ type: "warning", text });
      checkMetrics(config, valid);
      return await planOf(run, isMeasured);
    } finally {
      closeRun(run);
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

async function planOf(run: OpenRun, isMeasured: boolean): Promise<RunPlan> {
  const { schedule } = run;
  const times = new Times(run);
  const entries: PlannedEntry[] = [];
  const finite: ScheduledPhase[] = [];
  for (const [index, entry] of schedule.entries()) {
    const place = positionAt([...finite, ...schedule.slice(index)], plannedSteps(finite));
    if (place === undefined) throw new Error(`the schedule has no entry ${index}`);
    const kind = updatesNothing(entry.phase) ? undefined : times.kindOf(place);
    const each = isMeasured && entry.phase !== "mine" ? await times.secondsOf(place, kind) : null;
    const steps = stepsWithin(entry, each);
    entries.push(planned(run, { entry, place, start: plannedSteps(finite), kind, steps, each }));
    // What comes after an entry of unknown length is counted as if it had none.
    finite.push({ ...entry, steps: steps ?? 0 });
  }
  return {
    entries,
    seconds: isMeasured ? entries.reduce((sum, { seconds }) => sum + (seconds ?? 0), 0) : null,
    measured: times.measured,
    left_out: leftOut(run, isMeasured),
  };
}

/** A phase of a kind, with what an epoch of it is. */
interface Kind {
  readonly key: string;
  readonly trained: TrainedPhase;
  readonly examples: number | null;
  readonly batches: number | null;
}

/** Updates of an entry; where minutes limit them, as many as the measurement lets them be. */
function stepsWithin({ phase, steps, minutes }: ScheduledPhase, each: number | null): number | null {
  if (updatesNothing(phase)) return 1;
  const within = minutes === undefined || each === null ? Infinity : Math.max(1, Math.ceil((60 * minutes) / each));
  const fewest = Math.min(steps, within);
  return fewest === Infinity ? null : fewest;
}

function planned(
  { config, sets }: OpenRun,
  {
    entry,
    place,
    start,
    kind,
    steps,
    each,
  }: { entry: ScheduledPhase; place: SchedulePosition; start: number; kind: Kind | undefined; steps: number | null; each: number | null },
): PlannedEntry {
  const { checkpoint, validate } = config.train;
  const isStanding = updatesNothing(entry.phase);
  const within = (every: number | null): number =>
    steps === null || every === null ? 0 : Math.floor((start + steps - 1) / every) - Math.floor(start / every);
  const endsOn = (every: number | null): boolean => steps !== null && every !== null && (start + steps) % every === 0;
  const isValidated = sets.valid.length > 0 && entry.isBeside !== true;
  const atEnd = validate.after_each_phase || (!isStanding && endsOn(validate.every)) ? 1 : 0;
  const rate = kind?.trained.updates[0]?.rate;
  return {
    entry: place.phaseIndex,
    phase: entry.phase,
    contexts: place.contexts ?? null,
    steps: isStanding || entry.steps === Infinity ? null : entry.steps,
    minutes: entry.minutes ?? null,
    until: entry.until?.text ?? null,
    when: entry.when?.text ?? null,
    epochs: steps === null || kind === undefined || kind.batches === null ? null : steps / kind.batches,
    examples: kind?.examples ?? null,
    first_rate: rate?.(place.courseStep, place.courseSteps) ?? null,
    last_rate: steps === null ? null : (rate?.(place.courseStep + steps - 1, place.courseSteps) ?? null),
    validations: isValidated && entry.phase !== "mine" ? (isStanding ? 0 : within(validate.every)) + atEnd : 0,
    checkpoints: within(isStanding ? null : checkpoint.every) + 1,
    seconds: each === null ? null : entry.steps === Infinity && entry.minutes !== undefined ? 60 * entry.minutes : each * (steps ?? 0),
  };
}

/** Measures each kind of phase once. */
class Times {
  readonly #run: OpenRun;
  readonly #kinds = new Map<string, Kind>();
  readonly #seconds = new Map<string, number>();

  constructor(run: OpenRun) {
    this.#run = run;
  }

  /** Milliseconds by kind. */
  get measured(): Record<string, number> {
    return Object.fromEntries([...this.#seconds].map(([key, seconds]) => [key, Math.round(1e5 * seconds) / 100]));
  }

  /** The phase at a place, made once for all places that make it alike. */
  kindOf(place: SchedulePosition): Kind {
    const settings = this.#run.config.train.schedule[place.phaseIndex]?.with;
    const own = settings === null || settings === undefined ? "" : ` ${JSON.stringify(settings)}`;
    const key = `${place.phase}${place.contexts === undefined ? "" : ` ${place.contexts}`}${own}`;
    const known = this.#kinds.get(key);
    if (known !== undefined) return known;
    const trained = this.#run.phases.standIn(place);
    const { examples = null, batches = null } = trained.phase.epoch?.() ?? {};
    const kind = { key, trained, examples, batches };
    this.#kinds.set(key, kind);
    return kind;
  }

  /** Seconds of a step, or of the refresh. */
  async secondsOf(place: SchedulePosition, kind: Kind | undefined): Promise<number> {
    const key = kind?.key ?? "refresh, a passage";
    let seconds = this.#seconds.get(key);
    if (seconds === undefined) {
      seconds = kind === undefined ? this.#passageSeconds() : await this.#stepSeconds(place, kind);
      this.#seconds.set(key, seconds);
    }
    // A question is embedded as a passage is; most are shorter.
    return kind === undefined ? seconds * (this.#run.store.size + this.#run.sets.train.length) : seconds;
  }

  async #stepSeconds({ phase }: SchedulePosition, { key, trained }: Kind): Promise<number> {
    const seconds: number[] = [];
    const { report, state } = this.#run;
    await train(
      { schedule: [{ phase, steps: 1 + STEPS }], checkpointEvery: undefined },
      {
        phaseAt: () => trained,
        refresh: () => Promise.resolve(),
        stepped: (record) => {
          seconds.push(record.seconds);
          report({ type: "progress", name: `measuring ${key}`, done: seconds.length, total: 1 + STEPS, detail: "steps" });
          return Promise.resolve();
        },
        save: () => undefined,
        phaseEnded: () => Promise.resolve(),
        stopRequested: () => false,
      },
      { ...state, progress: newProgress() },
    );
    return mean(seconds.slice(1));
  }

  #passageSeconds(): number {
    const { store, encoder, config } = this.#run;
    const count = Math.min(TEXTS, store.size);
    const rows = Array.from({ length: count }, (_, i) => Math.floor((i * store.size) / count));
    const texts = rows.map((row) => passageText(store.get(row), config.data.corpus.title_template));
    return scope(() => {
      encoder.embedPassages(texts.slice(0, 8));
      const start = performance.now();
      encoder.embedPassages(texts);
      return (performance.now() - start) / 1000 / count;
    });
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

function leftOut({ config, sets, schedule }: OpenRun, isMeasured: boolean): string[] {
  if (!isMeasured) return ["time: nothing was measured"];
  const answered = Math.min(sets.valid.length, config.train.validate.questions ?? Infinity);
  const isConditional =
    schedule.some(({ until, when }) => until !== undefined || when !== undefined) || config.train.early_stopping.metric !== null;
  return [
    "preparing corpus, questions and first weights",
    "the gradient audit before the first step, and the penalties' probe",
    `validations: ${answered} answers each, with an index of their own where the retriever has moved`,
    "writing checkpoints and the log",
    "building and searching the index of a refresh: its embeddings alone are counted",
    "the evaluation and the report",
    ...(schedule.some(({ phase }) => phase === "mine") ? ["mining: searching by BM25, a teacher's scores, choosing negatives"] : []),
    ...(isConditional ? ["phases that a condition or early stopping ends or skips: each counts whole"] : []),
    ...(config.train.generator.curriculum.share > 0 ? ["shorter contexts at the start: steps were measured with whole ones"] : []),
    `chance: each kind of step was measured ${STEPS} times`,
  ];
}
