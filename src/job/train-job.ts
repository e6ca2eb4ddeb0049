/**
 * The main job, in the worker process: corpus, models, index, training, evaluation, report, all in one run directory and from any point on again. It may block; the driver (driver.ts) never
 * does. The trap: every file is written here, in an order that survives a kill: log lines before the checkpoint that counts them, artefacts before the state that names them.
 */
import path from "node:path";
import { isDriftMetric } from "../config/condition.js";
import { configOfEntry } from "../config/phase-settings.js";
import type { TandemConfig } from "../config/schema.js";
import { AlarmError } from "../training/alarms.js";
import { auditTable, inactiveWarnings } from "../training/gradient-audit.js";
import { measuredText, unmeasuredLosses } from "../training/conditions.js";
import { gatherMoments } from "../training/gathered-moments.js";
import type { RunState } from "../training/run-state.js";
import { decideStopping, endTraining } from "../training/decisions.js";
import { readsIndex, updatesNothing, type SchedulePosition } from "../training/schedule.js";
import { train, type TrainedPhase, type TrainerHooks } from "../training/trainer.js";
import { setDevice, setThreads } from "../engine/info.js";
import { span } from "../engine/profiler.js";
import { writeFileAtomic } from "../storage/atomic-write.js";
import { auditRows } from "./training/audited-phases.js";
import { checkMetrics, checkTraining } from "./training/check-training.js";
import { heldOutDocuments } from "./data/data.js";
import { runDevice } from "./hardware.js";
import { evaluateRun } from "./report/evaluate-run.js";
import { shareAnswers } from "../generation/shared-answers.js";
import { shareIndex } from "./index/index-sharing.js";
import { shareJudging } from "./mining/shared-mining.js";
import { IndexUpkeep } from "./refresh/index-upkeep.js";
import { loadBest } from "./training/load-best.js";
import { lostHistory } from "./data/lost-history.js";
import { exportPair } from "./models/models.js";
import { PHASES } from "./phases/phase-maker.js";
import { CLOSED_BOOK } from "./phases/phase-parts.js";
import { profileRun } from "./training/profile-run.js";
import type { Report } from "./reporter.js";
import { ALONE, type Crew } from "./run/crew.js";
import { closeRun, openRun, type OpenRun } from "./run/open-run.js";
import { rollBack } from "./training/roll-back.js";
import { RunLog } from "./training/run-log.js";
import { repeatsAtPhase, repeatsAtStart } from "./training/repeated-questions.js";
import { validateRun } from "./report/validate-run.js";
import { watchStep } from "./training/watch-collapse.js";

const FIXED_INDEX =
  "train.reader.fixed_index: only the questions' side of the retriever is trained; passages stay as start/retriever embeds them, and the index is never refreshed";

const NOTHING_TO_SHARD = "train.shard_optimiser: there is one worker, which keeps all of the optimiser's moments; set train.workers";

export interface TrainJobOptions {
  readonly config: TandemConfig;
  /** The run directory, which exists. */
  readonly run: string;
  readonly report: Report;
  readonly stopRequested: () => boolean;
  /** Writes a trace of where the time goes into the run directory. */
  readonly profile?: boolean;
  /** The workers of the run; the first alone writes and reports. Default: there is one. */
  readonly crew?: Crew;
  /** This worker's number among those on this machine. Default 0. */
  readonly localRank?: number;
  /** Workers on this machine, which share its cores. Default 1. */
  readonly localWorkers?: number;
  /** Cores that a launcher gave to this worker alone. */
  readonly cores?: number | undefined;
  /** Told each step that this worker has ended. */
  readonly stepped?: (step: number) => void;
  /** Told when there is something that leaving at once would lose, and when there no longer is. */
  readonly unsaved: (is: boolean) => void;
}

/** Runs what is left of the job. `stopped`: saved and left early, to be resumed. */
export async function trainJob(options: TrainJobOptions): Promise<"finished" | "stopped"> {
  const endProfile = options.profile === true ? profileRun(options.run, options.crew?.share.rank ?? 0, options.report) : undefined;
  try {
    return await openAndWork(options);
  } finally {
    endProfile?.();
  }
}

async function openAndWork(options: TrainJobOptions): Promise<"finished" | "stopped"> {
  const { config, report, crew = ALONE, localRank, localWorkers = 1, cores } = options;
  const device = runDevice(config.device, { localRank });
  setDevice(device);
  const cards = crew.group.computeOn(device);
  for (const warning of cards?.warnings ?? []) report({ type: "warning", text: warning });
  const place = { workers: crew.share.size, localWorkers, cores, isFirst: crew.isFirst, group: crew.group, device, cards };
  const run = withSharing(await span("open the run", () => crew.inTurnLater(() => openRun(config, options.run, report, place))), crew);
  try {
    return await workOn(run, options);
  } finally {
    closeRun(run);
    crew.close();
  }
}

/** The run with its index's work, the judging of mined negatives and the answering of validation questions shared out among the workers. */
function withSharing(run: OpenRun, { led }: Crew): OpenRun {
  if (led === undefined) return run;
  return {
    ...run,
    generator: shareAnswers(led, "answers", run.generator),
    phases: run.phases.judgedBy(shareJudging(led, run.artefacts.device)),
    artefacts: { ...run.artefacts, sharing: shareIndex(led, run.artefacts, run.encoder) },
  };
}

async function workOn(run: OpenRun, options: TrainJobOptions): Promise<"finished" | "stopped"> {
  if (options.crew?.isFirst === false) return trainRun(run, savingOf(run, undefined, options), options);
  const log = new RunLog(run, run.report);
  const saving = savingOf(run, log, options);
  try {
    checkRun(run);
    const outcome = await trainRun(run, saving, options);
    if (outcome === "stopped") return outcome;
  } finally {
    log.close();
  }
  if (run.freedThreads !== undefined) {
    setThreads(run.freedThreads);
    run.report({ type: "note", text: `the other workers are done: ${run.freedThreads} threads from here on` });
  }
  const pair = loadBest(run);
  run.report({ type: "stage", name: "saving", detail: "retriever/ and generator/ as Hugging Face folders" });
  span("export", () => exportPair(run));
  await span("evaluation", () => evaluateRun(run, pair));
  return "finished";
}

/** How the state is saved: all workers take part, the first alone writes. */
interface Saving {
  /** The first worker's. */
  readonly log: RunLog | undefined;
  /** Where all workers come. */
  readonly save: (state: RunState) => void;
  /** In the first worker's turn, where it alone knows that it saves: it asks the others. */
  readonly saveInTurn: (state: RunState) => void;
}

function savingOf(run: OpenRun, log: RunLog | undefined, { crew = ALONE, unsaved }: TrainJobOptions): Saving {
  const save = (state: RunState): void => {
    gatherMoments(crew.group, state, log === undefined ? undefined : (momentsOf) => log.save(state, momentsOf));
    unsaved(false);
  };
  // Gathering before each of its turns would send all moments around at every step, for a save that comes once in hundreds.
  const together = crew.led?.learnAtOnce("save", () => save(run.state));
  return { log, save, saveInTurn: together === undefined ? save : () => together(null) };
}

/** What is looked at before the first step. @throws UserError for what can't run */
function checkRun(run: OpenRun): void {
  const { config, report } = run;
  const warnings = checkTraining(
    config,
    run.schedule,
    [...PHASES, CLOSED_BOOK],
    run.sets.train,
    run.generator.tokenizer,
    run.phases.goldCount,
  );
  checkMetrics(config, run.sets.valid);
  const { train: learned, valid, test } = run.sets;
  const lost = lostHistory(config.prompt, [...learned, ...valid, ...test]);
  for (const warning of [...warnings, ...lost, ...heldOutWarnings(run)]) report({ type: "warning", text: warning });
  for (const message of repeatsAtStart(run)) report(message);
  if (config.train.reader.fixed_index) report({ type: "note", text: FIXED_INDEX });
  if (config.train.shard_optimiser && run.state.fingerprint.workers === 1) report({ type: "warning", text: NOTHING_TO_SHARD });
  if (run.state.progress.step === 0) span("gradient audit", () => auditRun(run, report));
}

/** Trains, and goes on after each alarm that takes the run back. */
async function trainRun(run: OpenRun, saving: Saving, options: TrainJobOptions): Promise<"finished" | "stopped"> {
  const { crew = ALONE } = options;
  for (;;) {
    try {
      return await trainOn(run, saving, options);
    } catch (error) {
      if (!(error instanceof AlarmError) || error.action !== "roll_back") throw error;
      crew.inTurn(() => rollBack(run, error, crew.isFirst));
      saving.log?.cutBack(run.state.progress.step);
    }
  }
}

async function trainOn(run: OpenRun, saving: Saving, options: TrainJobOptions): Promise<"finished" | "stopped"> {
  const { crew = ALONE } = options;
  const { report, schedule } = run;
  const { train: settings } = run.config;
  report({ type: "stage", name: "training", detail: schedule.map(described).join(", ") });
  const trainer = {
    schedule,
    checkpointEvery: settings.checkpoint.every ?? undefined,
    validateEvery: settings.validate.every ?? undefined,
    window: settings.conditions.window,
    notANumber: settings.alarms.not_a_number.action,
    share: crew.share,
  };
  const upkeep = new IndexUpkeep(run, heldOut(run), saving.saveInTurn);
  try {
    if (crew.isFirst) upkeep.resume(run.state);
    return await train(trainer, hooksOf(run, { ...saving, upkeep }, options), run.state);
  } finally {
    upkeep.close();
  }
}

/** What the trainer asks for. The first worker writes, builds and measures; phases are every worker's own. */
function hooksOf(run: OpenRun, { log, upkeep, save }: Saving & { readonly upkeep: IndexUpkeep }, options: TrainJobOptions): TrainerHooks {
  const { crew = ALONE, stopRequested, unsaved } = options;
  const byFirst: Crew["byFirst"] = (state, work) => crew.byFirst(state, work);
  const validating = (position: SchedulePosition, state: RunState): Promise<void> =>
    byFirst(state, async () => {
      if ((await upkeep.beforeValidation(position, state)) === "validate") await validated(run, position, state);
    });
  return {
    phaseAt: async (position, state) => {
      crew.requireSameWeights(state);
      noteStart(run, position, state);
      const made = await crew.inTurnLater(() => run.phases.at(position, state));
      // An epoch is planned to count it: once a phase, not each time that it is made.
      if (position.stepInPhase === 0) {
        for (const message of repeatsAtPhase(run, position, made)) run.report(message);
        warnLeftOut(run, position, made);
      }
      return made;
    },
    refresh: (state) => byFirst(state, () => upkeep.refresh(state)),
    mine: (position, state) => {
      noteStart(run, position, state);
      return crew.inTurnLater(() => run.phases.mine(position, state));
    },
    between: (position, state) => byFirst(state, () => upkeep.between(position, state)),
    stepped: (record, position, state) => {
      options.stepped?.(record.step);
      return byFirst(state, async () => {
        unsaved(true);
        warnUnmeasured(run, position, state);
        const figures = await upkeep.stepped(record.step, position, state);
        await log?.stepped(record, position, figures);
        if (Object.keys(figures).some(isDriftMetric)) Object.assign(state.progress.metrics, upkeep.figures(state));
        watchStep(run, record, position, state);
      });
    },
    save,
    phaseEnded: async (position, state) => {
      if (isValidated(run, position, state)) await validating(position, state);
    },
    validate: validating,
    left: ({ entry, step, reason }, { phase }) =>
      run.report({ type: "note", text: `schedule: entry ${entry}, ${phase}, is over at step ${step}: ${reason}` }),
    stopRequested,
  };
}

/** That a phase is run is a decision too, where it had a condition. */
function noteStart({ schedule, report }: OpenRun, { phaseIndex, phase, stepInPhase }: SchedulePosition, { progress }: RunState): void {
  const when = schedule[phaseIndex]?.when;
  if (when === undefined || stepInPhase > 0) return;
  report({
    type: "note",
    text: `schedule: entry ${phaseIndex}, ${phase}, begins at step ${progress.step}: ${when.text} holds: ${measuredText(when, progress.earlier)}`,
  });
}

/** Where the reader teaches, questions with fewer passages than it chooses among aren't trained on: said once, as the phase begins. */
function warnLeftOut({ config, sets, report }: OpenRun, { phase: name, phaseIndex }: SchedulePosition, { phase }: TrainedPhase): void {
  const examples = readsIndex(name) ? phase.epoch?.().examples : undefined;
  if (examples === undefined || examples === sets.train.length) return;
  const { passages } = configOfEntry(config, phaseIndex).train.reader;
  const lacking = `${sets.train.length - examples} of ${sets.train.length} questions have fewer than ${passages} passages`;
  const text = `train.schedule.${phaseIndex}: ${lacking} (train.reader.passages) in what the index found; the phase leaves them out`;
  report({ type: "warning", text });
}

/** A loss that the phase doesn't have never ends it: said as soon as that can be known. */
function warnUnmeasured(
  { config, schedule, report }: OpenRun,
  { phaseIndex, stepInPhase }: SchedulePosition,
  { progress }: RunState,
): void {
  if (stepInPhase + 1 !== config.train.conditions.window) return;
  for (const metric of unmeasuredLosses(schedule[phaseIndex]?.until, progress.metrics))
    report({ type: "warning", text: `train.schedule.${phaseIndex}.until waits for ${metric}, which no step of this phase measures` });
}

function described({ phase, steps, minutes, until, when }: OpenRun["schedule"][number]): string {
  const parts = [
    ...(updatesNothing(phase) || steps === Infinity ? [] : [String(steps)]),
    ...(minutes === undefined ? [] : [`${minutes} min`]),
    ...(until === undefined ? [] : [`until ${until.text}`]),
    ...(when === undefined ? [] : [`when ${when.text}`]),
  ];
  return [phase, ...parts].join(" ");
}

/** Whether a phase's end has a validation: where each has one, or where one of those inside the phase would have come. */
function isValidated(run: OpenRun, position: SchedulePosition, state: RunState): boolean {
  const { after_each_phase: each, every } = run.config.train.validate;
  if (position.phase === CLOSED_BOOK || position.phase === "mine") return false;
  return each || (every !== null && position.phase !== "refresh" && state.progress.step % every === 0);
}

/** Validates, and ends training where that brought nothing more. A refresh trains nothing, so its validation decides nothing. */
async function validated(run: OpenRun, position: SchedulePosition, state: RunState): Promise<void> {
  await validateRun(run, position, state);
  const { metric, patience, min_delta: minDelta } = run.config.train.early_stopping;
  if (metric === null || position.phase === "refresh") return;
  const reason = decideStopping({ metric, patience, minDelta }, state.progress);
  if (reason === undefined) return;
  const left = endTraining(run.schedule, position, state.progress, reason);
  if (left.length > 0) run.report({ type: "note", text: `${reason}; ${left.length} entries of the schedule are left out` });
}

/** Documents that training never sees. */
function heldOut({ config, sets, store }: OpenRun): Set<string> {
  return config.data.questions.hold_out_passages ? heldOutDocuments(sets, store) : new Set();
}

function heldOutWarnings(run: OpenRun): string[] {
  if (!run.config.data.questions.hold_out_passages || heldOut(run).size > 0) return [];
  return [
    "data.questions.hold_out_passages holds nothing out: no validation or test question names its document or a gold passage, so training may see the passages that answer them",
  ];
}

/** The gradient audit before step 1: every term reaches every parameter, or the run doesn't start. A term that no audited batch gave anything to do is warned about: of it nothing is known. */
function auditRun(run: OpenRun, report: Report): void {
  report({ type: "stage", name: "gradient audit", detail: "every loss term reaches every parameter" });
  const rows = auditRows(run);
  const table = auditTable(rows);
  writeFileAtomic(path.join(run.places.path, "audit.txt"), `${table}\n`);
  report({ type: "note", text: table });
  for (const text of inactiveWarnings(rows, run.config.train.audit.batches)) report({ type: "warning", text });
}
