/**
 * Says what repeats cost a contrastive phase: a question that no batch can take without a second of its passage or its words is left out of an epoch, and repeats have smaller batches. It changes nothing; training/contrastive-batches.ts
 * places them. The trap: with `positives: answer` an index says which questions there are, so it is known only as the phase begins.
 */
import { configOfEntry } from "../../config/phase-settings.js";
import type { EpochSize } from "../../training/batches.js";
import type { SchedulePosition } from "../../training/schedule.js";
import type { TrainedPhase } from "../../training/trainer.js";
import type { JobMessage } from "../reporter.js";
import { epochOf, knowsQuestions, type OpenRun } from "../run/open-run.js";

type Planned = Pick<OpenRun, "config" | "phases">;

/** What is known before the first step, each line once. */
export function repeatsAtStart({ config, phases }: Planned): JobMessage[] {
  const settings = new Map<string, number>();
  for (const [entry, { phase, with: own }] of config.train.schedule.entries())
    if (phase === "contrastive" && knowsQuestions(config, phases, entry) && !settings.has(JSON.stringify(own)))
      settings.set(JSON.stringify(own), entry);
  const said = [...settings.values()].flatMap((entry) => repeats(batchOf(config, entry), epochOf(config, phases, entry)));
  return [...new Map(said.map((message) => [JSON.stringify(message), message])).values()];
}

/** What is known only as the phase begins: of a contrastive one whose questions an index decides. */
export function repeatsAtPhase({ config, phases }: Planned, { phase, phaseIndex }: SchedulePosition, made: TrainedPhase): JobMessage[] {
  if (phase !== "contrastive" || knowsQuestions(config, phases, phaseIndex)) return [];
  const epoch = made.phase.epoch?.();
  return epoch === undefined ? [] : repeats(batchOf(config, phaseIndex), epoch);
}

function batchOf(config: OpenRun["config"], entry: number): number {
  return configOfEntry(config, entry).train.contrastive.batch;
}

function repeats(batch: number, { examples, batches, leftOut = 0, extra = 0 }: EpochSize): JobMessage[] {
  const key = "train.contrastive.batch";
  if (batches === examples) {
    const text = `${key}: every question is alone in its batch, since no two have different passages and different words; only mined negatives teach then (train.contrastive.hard_negatives)`;
    return [{ type: "warning", text }];
  }
  const messages: JobMessage[] = [];
  if (leftOut > 0) {
    const text = `${key}: ${leftOut} of ${examples + leftOut} questions are in no batch of an epoch, others in each, since every batch has their passage or their words already; a smaller batch may leave out fewer`;
    messages.push({ type: "warning", text });
  }
  if (extra > 0) {
    const text = `${key}: an epoch has ${batches} batches, ${extra} more than full ones of ${batch} would be, since none holds a passage or a question twice`;
    messages.push({ type: "note", text });
  }
  return messages;
}
