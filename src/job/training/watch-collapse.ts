/**
 * Watches a run for collapse: measures what a validation found, remembers the losses, writes what rings into `alarms.jsonl` and says it. What is to be done beyond a warning is thrown as an AlarmError and done by roll-back.ts. The
 * trap: the remembered losses are part of the run's state and are noted before the bounds are looked at, so that a resumed run rings at the same steps.
 */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { configOfEntry } from "../../config/phase-settings.js";
import type { TandemConfig } from "../../config/schema.js";
import { scope } from "../../engine/scope.js";
import { embeddingHealth } from "../../evaluation/embedding-health.js";
import { retrievalHealth } from "../../evaluation/retrieval-health.js";
import { passageText } from "../../corpus/passage.js";
import type { Hit } from "../../retrieval/retriever.js";
import { writeFileAtomic } from "../../storage/atomic-write.js";
import { alarmError, alarmLine, ringing, type Alarm } from "../../training/alarms.js";
import { remembered, spikeOf } from "../../training/loss-spike.js";
import type { RunState } from "../../training/run-state.js";
import { readsIndex, type SchedulePosition } from "../../training/schedule.js";
import type { StepRecord } from "../../training/trainer.js";
import type { OpenRun } from "../run/open-run.js";

const ALARMS_FILE = "alarms.jsonl";

/** Texts whose embeddings are looked at, evenly spaced in the store or among the questions: a second's work. */
const SAMPLE = 256;

/** A line of alarms.jsonl. */
interface AlarmLine extends Alarm {
  readonly step: number;
  readonly phase: string;
  /** Times that the run was rolled back before. */
  readonly rollBacks: number;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** What a validation shows of the pair's health; lines of `validation/summary.jsonl` hold it under `health`. */
export type HealthFigures = Readonly<Record<"unique_documents" | "hubness" | "entropy" | "rank" | "uniformity" | "repetition", number>>;

/**
 * @param phaseIndex the entry of the schedule that was validated
 * @param repetition rep-4 of the validation answers beyond the gold answers' own
 */
export function healthFigures(
  run: OpenRun,
  { phaseIndex }: Pick<SchedulePosition, "phaseIndex">,
  hits: readonly (readonly Hit[])[],
  repetition: number,
): HealthFigures {
  const k = Math.max(0, ...hits.map(({ length }) => length));
  const places = hits.flatMap((own) => Array.from({ length: k }, (_, rank) => own[rank]));
  const found = {
    k,
    ids_QK: Int32Array.from(places, (hit) => hit?.row ?? -1),
    scores_QK: Float32Array.from(places, (hit) => hit?.score ?? -Infinity),
  };
  const { uniqueDocuments, hubness, entropy } = retrievalHealth(found, run.store.size, retrieverTemperature(run.config, phaseIndex));
  const { rank, uniformity } = sampleHealth(run);
  return { unique_documents: uniqueDocuments, hubness, entropy, rank, uniformity, repetition };
}

/**
 * The τ that the retriever's scores are divided by where it is trained: by the entry's own phase, or else by the last one before it that trains the retriever, or else by the first one after it. Where none does,
 * `train.contrastive.temperature`.
 */
export function retrieverTemperature(config: Pick<TandemConfig, "train">, phaseIndex: number): number {
  const { schedule } = config.train;
  const own = schedule.flatMap((entry, index) => (temperatureOf(config, entry.phase, index) === undefined ? [] : [index]));
  const index = own.findLast((place) => place <= phaseIndex) ?? own[0];
  const taken = index === undefined ? undefined : temperatureOf(config, schedule[index]?.phase, index);
  return taken ?? config.train.contrastive.temperature;
}

function temperatureOf(config: Pick<TandemConfig, "train">, phase: string | undefined, index: number): number | undefined {
  const { contrastive, reader } = configOfEntry(config, index).train;
  if (phase === "contrastive") return contrastive.temperature;
  return phase !== undefined && readsIndex(phase) ? reader.temperature : undefined;
}

/** Of passages; of training questions where these alone are embedded by what is trained. */
function sampleHealth({ config, store, sets, encoder, artefacts }: OpenRun): { rank: number; uniformity: number } {
  const isFixed = artefacts.passages !== undefined;
  const size = isFixed ? sets.train.length : store.size;
  const count = Math.min(SAMPLE, size);
  if (count < 2) return { rank: 1, uniformity: 0 };
  const texts = Array.from({ length: count }, (_, i) => {
    const place = Math.floor((i * size) / count);
    return isFixed ? (sets.train[place]?.question ?? "") : passageText(store.get(place), config.data.corpus.title_template);
  });
  return scope(() => embeddingHealth(isFixed ? encoder.embedQueries(texts) : encoder.embedPassages(texts)));
}

/**
 * Remembers a step's loss in the state and looks at it.
 *
 * @throws AlarmError when a spike is to stop the run or take it back
 */
export function watchStep(run: OpenRun, { step, phase, loss }: StepRecord, { phaseIndex }: SchedulePosition, { progress }: RunState): void {
  const { above, window } = run.config.train.alarms.loss_spike;
  if (above === null) return;
  const spike = spikeOf(progress.losses, phaseIndex, loss, window);
  progress.losses = remembered(progress.losses, phaseIndex, loss, window);
  ring(run, { step, phase, progress }, { loss_spike: spike });
}

/** Looks at what a validation found. @throws AlarmError when an alarm is to stop the run or take it back */
export function watchValidation(run: OpenRun, phase: string, { progress }: RunState, figures: HealthFigures): void {
  ring(run, { step: progress.step, phase, progress }, figures);
}

interface Moment {
  readonly step: number;
  readonly phase: string;
  readonly progress: RunState["progress"];
}

function ring(run: OpenRun, { step, phase, progress }: Moment, figures: Readonly<Record<string, number | undefined>>): void {
  const rules = Object.fromEntries(
    Object.entries(run.config.train.alarms).flatMap(([name, rule]) => ("action" in rule ? [[name, rule]] : [])),
  );
  const alarms = ringing(rules, figures);
  if (alarms.length === 0) return;
  noteAlarms(
    run,
    alarms.map((alarm) => ({ ...alarm, step, phase, rollBacks: progress.rollBacks.length, time: Date.now() })),
  );
  for (const alarm of alarms) run.report({ type: "warning", text: `step ${step}, phase ${phase}: ${alarmLine(alarm)}` });
  const error = alarmError(step, phase, alarms);
  if (error !== undefined) throw error;
}

/** Each alarm stands once: what a resumed run hears again replaces what was there. Lines of steps that were rolled back stay. */
function noteAlarms({ places }: OpenRun, lines: readonly AlarmLine[]): void {
  const file = path.join(places.path, ALARMS_FILE);
  const before = existsSync(file)
    ? readFileSync(file, "utf8")
        .split("\n")
        .filter((text) => text !== "")
    : [];
  const known = (text: string): boolean => {
    const { name, step, rollBacks } = JSON.parse(text) as AlarmLine;
    return lines.some((line) => line.name === name && line.step === step && line.rollBacks === rollBacks);
  };
  writeFileAtomic(
    file,
    [...before.filter((text) => !known(text)), ...lines.map((line) => JSON.stringify(line))].map((text) => `${text}\n`).join(""),
  );
}
