/**
 * What a run writes while it trains: lines of metrics.jsonl, the probe's figures, checkpoints and what is kept of them. The trap: the log is synced before each checkpoint, so that a
 * checkpoint never counts steps whose lines are lost, and it is cut back to the checkpoint when a run resumes.
 */
import { listCheckpoints, checkpointArtefacts, checkpointPending, retainCheckpoints, saveCheckpoint } from "../../training/checkpoint.js";
import type { MomentsOf } from "../../training/gathered-moments.js";
import { openMetricsLog, type MetricsLog } from "../../tracking/metrics-log.js";
import type { CurrentArtefacts, RunState } from "../../training/run-state.js";
import { stepsLeft, type SchedulePosition } from "../../training/schedule.js";
import type { StepRecord, UpdateRecord } from "../../training/trainer.js";
import { Encoder } from "../../retrieval/encoder.js";
import { indexNameOf, retainArtefacts } from "../index/artefacts.js";
import { configOfEntry } from "../../config/phase-settings.js";
import { EntryProbe } from "./entry-probe.js";
import { retainSnapshots } from "../refresh/index-upkeep.js";
import { encoderOverrides, startFolders } from "../models/models.js";
import type { OpenRun } from "../run/open-run.js";
import type { Report } from "../reporter.js";
import { writeSchedule } from "../run/run-schedule.js";

export class RunLog {
  readonly #run: OpenRun;
  readonly #report: Report;
  #metrics: MetricsLog;
  #base: string | undefined;
  readonly #probe: EntryProbe;
  /** Transitions that schedule.json has. */
  #decided = -1;

  constructor(run: OpenRun, report: Report) {
    this.#run = run;
    this.#report = report;
    this.#probe = new EntryProbe(run);
    this.#metrics = openMetricsLog(run.places.metrics, { after: run.state.progress.step });
  }

  /**
   * After a step: its line, if the log wants one, with the probe's figures where they are due.
   *
   * @param more figures that were taken at this step and must be logged
   */
  async stepped(record: StepRecord, position: SchedulePosition, more: Readonly<Record<string, number>> = {}): Promise<void> {
    const { log, audit } = this.#run.config.train;
    const isProbed = audit.every !== null && record.step % audit.every === 0 && this.#probe.isProbed(position.phaseIndex);
    const probed = isProbed ? await this.#probed(position.phaseIndex) : {};
    const { schedule, state } = this.#run;
    const { transitions } = state.progress;
    const isLeft = transitions.some(({ entry, step }) => entry === position.phaseIndex && step === record.step);
    const isLast = isLeft || position.stepInPhase + 1 === position.steps;
    const isLogged = isProbed || isLast || Object.keys(more).length > 0 || record.step % log.every === 0;
    if (isLogged) this.#metrics.append({ ...metricsOf(record, position, this.#run), ...probed, ...more });
    const left = stepsLeft(schedule, record.step, transitions);
    const isOpen = position.steps === Infinity && !isLeft;
    const total = record.step + Object.values(left).reduce((sum, steps) => sum + steps, 0);
    this.#report({ type: "step", record, totalSteps: isOpen ? null : total, left });
  }

  /** Log, checkpoint, retention, in this order. */
  save(state: RunState, momentsOf: MomentsOf): void {
    const { places, config, artefacts } = this.#run;
    this.#metrics.sync();
    saveCheckpoint(places.checkpoints, state, momentsOf);
    if (state.progress.transitions.length !== this.#decided || state.progress.isPhaseEndDue) {
      this.#decided = state.progress.transitions.length;
      writeSchedule(places.path, this.#run.schedule, state.progress);
    }
    const best = config.train.checkpoint.keep_best && state.progress.best !== undefined ? [state.progress.best.step] : [];
    const gone = retainCheckpoints(places.checkpoints, config.train.checkpoint.keep_last, best);
    const kept = listCheckpoints(places.checkpoints).map(({ folder }) => folder);
    const pending = [state.progress.upkeep.pending, ...kept.map(checkpointPending)].filter((under) => under !== undefined);
    if (gone.length > 0)
      retainArtefacts(
        artefacts,
        [state.progress.artefacts, ...this.#baseIndex(), ...kept.map(checkpointArtefacts), ...pending.map((under) => under.artefacts)],
        pending.length > 0,
      );
    retainSnapshots(places.path, artefacts, pending);
  }

  /** After a roll-back: lines of later steps are taken away, they come again. */
  cutBack(step: number): void {
    this.#metrics.close();
    this.#metrics = openMetricsLog(this.#run.places.metrics, { after: step });
  }

  close(): void {
    this.#metrics.close();
  }

  /** The index of the retriever as the run began, which the report's base pair searches: embedding a corpus again costs more than the disk. */
  #baseIndex(): CurrentArtefacts[] {
    const { artefacts, config, places } = this.#run;
    if (!config.eval.rows.includes("base-pair")) return [];
    if (this.#base === undefined) {
      const encoder = Encoder.load(startFolders(places.path).retriever, encoderOverrides(config.retriever));
      this.#base = indexNameOf(artefacts, encoder);
      encoder.dispose();
    }
    return [{ index: this.#base }];
  }

  async #probed(entry: number): Promise<Readonly<Record<string, number>>> {
    const { figures, warnings } = await this.#probe.probe(entry);
    for (const text of warnings) this.#report({ type: "warning", text });
    return figures;
  }
}

/** Multiplications of a training step are counted as 6 for each weight outside the embeddings and token (Kaplan et al. 2020, arXiv 2001.08361, §2.1). */
const FLOP_PER_WEIGHT_AND_TOKEN = 6;

function metricsOf(
  record: StepRecord,
  position: SchedulePosition,
  run: OpenRun,
): { step: number; phase: string } & Record<string, number | string> {
  const models = record.updates.map(({ model }) => run.state.trainables.get(model));
  const weights = models
    .flatMap((trained) => [...(trained?.parameters ?? [])])
    .reduce((sum, [name, { numel }]) => (/embeddings|wte|wpe/.test(name) ? sum : sum + numel), 0);
  // Of all workers, as the tokens are.
  const rate = run.gemmRate * run.state.fingerprint.workers;
  const gflops = (FLOP_PER_WEIGHT_AND_TOKEN * weights * record.tokens) / record.seconds / 1e9;
  return {
    step: record.step,
    phase: record.phase,
    time: Date.now(),
    loss: record.loss,
    ...Object.fromEntries(Object.entries(record.terms).map(([name, value]) => [`loss/${name}`, value])),
    ...penaltyMode(record, position, run),
    ...Object.fromEntries(record.updates.flatMap(updateFigures)),
    tokens_per_second: Math.round(record.tokens / record.seconds),
    gemm_share: Number((gflops / rate).toFixed(4)),
  };
}

/** How the penalties of a step's terms got their gradient: an entry may have its own mode. */
function penaltyMode({ terms }: StepRecord, { phaseIndex }: SchedulePosition, { config }: OpenRun): Record<string, string> {
  const isPenalised = PENALTIES.some((name) => terms[name] !== undefined);
  return isPenalised ? { penalties: configOfEntry(config, phaseIndex).train.penalties.mode } : {};
}

/** The terms that have modes. */
const PENALTIES = ["ngram_repeat", "keyword_coverage", "keyword_overlap", "short_answer", "unlikelihood"];

/** Of the first model `rate` and `gradient_norm`, of others with their names behind. */
function updateFigures({ model, rate, gradientNorm }: UpdateRecord, place: number): [string, number][] {
  const of = place === 0 ? "" : `/${model}`;
  return [
    [`rate${of}`, rate],
    [`gradient_norm${of}`, gradientNorm],
  ];
}
