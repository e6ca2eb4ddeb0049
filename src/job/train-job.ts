/**
 * The main job, in the worker process: corpus, models, index, training, evaluation, report, all in one run directory and from any point on again. It may block; the driver (driver.ts) never
 * does. The trap: every file is written here, in an order that survives a kill: log lines before the checkpoint that counts them, artefacts before the state that names them.
 */
import path from "node:path";
import type { TandemConfig } from "../config/schema.js";
import { auditGradients, auditTable } from "../training/gradient-audit.js";
import { train } from "../training/trainer.js";
import { passageText } from "../corpus/passage.js";
import { span } from "../engine/profiler.js";
import { writeFileAtomic } from "../storage/atomic-write.js";
import { checkTraining } from "./check-training.js";
import { searchTraining, currentRetriever, type TrainingSearch } from "./artefacts.js";
import { heldOutDocuments } from "./data.js";
import { evaluateRun } from "./evaluate-run.js";
import { lostHistory } from "./lost-history.js";
import { comparesPositives } from "./mining/choose-negatives.js";
import { lowestPositives } from "./mining/positive-scores.js";
import { exportPair } from "./models.js";
import { PHASES } from "./phases/phase-maker.js";
import { CLOSED_BOOK } from "./phases/phase-parts.js";
import { profileRun } from "./profile-run.js";
import type { Report } from "./reporter.js";
import { closeRun, openRun, type OpenRun } from "./open-run.js";
import { RunLog } from "./run-log.js";
import { validateRun } from "./validate-run.js";

export interface TrainJobOptions {
  readonly config: TandemConfig;
  /** The run directory, which exists. */
  readonly run: string;
  readonly report: Report;
  readonly stopRequested: () => boolean;
  /** Writes a trace of where the time goes into the run directory. */
  readonly profile?: boolean;
  /** Told when there is something that leaving at once would lose, and when there no longer is. */
  readonly unsaved: (is: boolean) => void;
}

/** Runs what is left of the job. `stopped`: saved and left early, to be resumed. */
export async function trainJob(options: TrainJobOptions): Promise<"finished" | "stopped"> {
  const endProfile = options.profile === true ? profileRun(options.run, options.report) : undefined;
  try {
    return await openAndWork(options);
  } finally {
    endProfile?.();
  }
}

async function openAndWork(options: TrainJobOptions): Promise<"finished" | "stopped"> {
  const { config, report } = options;
  const run = await span("open the run", () => openRun(config, options.run, report));
  try {
    return await workOn(run, options);
  } finally {
    closeRun(run);
  }
}

async function workOn(run: OpenRun, options: TrainJobOptions): Promise<"finished" | "stopped"> {
  const { config, report } = run;
  const log = new RunLog(run, report);
  try {
    const warnings = checkTraining(
      config,
      run.schedule,
      [...PHASES, CLOSED_BOOK],
      run.sets.train,
      run.generator.tokenizer,
      run.phases.goldCount,
    );
    const { train: learned, valid, test } = run.sets;
    const lost = lostHistory(config.prompt, [...learned, ...valid, ...test]);
    for (const warning of [...warnings, ...lost, ...heldOutWarnings(run)]) report({ type: "warning", text: warning });
    if (run.state.progress.step === 0) span("gradient audit", () => auditRun(run, report));
    const outcome = await trainRun(run, log, options);
    if (outcome === "stopped") return outcome;
  } finally {
    log.close();
  }
  report({ type: "stage", name: "saving", detail: "retriever/ and generator/ as Hugging Face folders" });
  span("export", () => exportPair(run));
  await span("evaluation", () => evaluateRun(run));
  return "finished";
}

async function trainRun(run: OpenRun, log: RunLog, { stopRequested, unsaved }: TrainJobOptions): Promise<"finished" | "stopped"> {
  const { config, report } = run;
  const names = run.schedule.map(({ phase, steps }) => (phase === "refresh" ? phase : `${phase} ${steps}`)).join(", ");
  report({ type: "stage", name: "training", detail: names });
  return train(
    { schedule: run.schedule, checkpointEvery: config.train.checkpoint.every ?? undefined },
    {
      phaseAt: (position, state) => run.phases.at(position, state),
      refresh: (state) => refresh(run, state),
      stepped: (record, position) => {
        unsaved(true);
        return log.stepped(record, position);
      },
      save: (state) => {
        log.save(state);
        unsaved(false);
      },
      phaseEnded: async (position, state) => {
        if (config.train.validate.after_each_phase && position.phase !== CLOSED_BOOK) await validateRun(run, position, state);
      },
      stopRequested,
    },
    run.state,
  );
}

/** The index follows the retriever: passages are embedded anew, contexts and negatives searched anew. */
async function refresh(run: OpenRun, state: OpenRun["state"]): Promise<void> {
  const { retriever, indexName } = await currentRetriever(run.artefacts, run.encoder, "refresh");
  try {
    const { mining: { lexical } = {} } = state.progress.artefacts;
    const found = await searchTraining(run.artefacts, retriever, indexName, {
      questions: run.sets.train,
      heldOut: heldOut(run),
      k: run.depth,
      positives: comparedPositives(run),
    });
    // What BM25 found stands; the negatives chosen from the last index don't.
    state.progress.artefacts = lexical === undefined ? found : { ...found, mining: { lexical } };
  } finally {
    retriever.index.dispose();
  }
}

/** Scores of the positives, where mining compares with them. */
function comparedPositives({ config, sets, encoder, phases, store, artefacts }: OpenRun): TrainingSearch["positives"] {
  const { hard_negatives: wanted, mining } = config.train.contrastive;
  const { metric } = config.index;
  if (wanted === 0 || metric === "l2" || !comparesPositives(mining)) return undefined;
  const questions = sets.train.map(({ question }) => question);
  const textOf = (row: number): string => passageText(store.get(row), artefacts.template);
  return (found) => lowestPositives({ encoder, metric, questions, goldRows: phases.goldRows, textOf }, found);
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

/** The gradient audit before step 1: every term reaches every parameter, or the run doesn't start. */
function auditRun(run: OpenRun, report: Report): void {
  report({ type: "stage", name: "gradient audit", detail: "every loss term reaches every parameter" });
  const table = auditTable(run.auditedPhases().flatMap((phase) => auditGradients(phase, { batches: run.config.train.audit.batches })));
  writeFileAtomic(path.join(run.places.path, "audit.txt"), `${table}\n`);
  report({ type: "note", text: table });
}
