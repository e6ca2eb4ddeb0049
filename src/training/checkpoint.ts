/**
 * A `RunState` on disk: `checkpoints/step-<n>/` with `state.json` and, for each trained model, its parameters and its optimiser's moments as safetensors. Not a
 * model for others to open: `retriever/` and `generator/` of the run directory are. Written beside, synced and renamed, so whatever moment the process dies, the last
 * complete checkpoint is found. The trap: tensors are copied into the live ones, never mapped; training would write into the file's memory.
 */
import { existsSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import type { Dtype } from "../engine/dtype.js";
import { fromBytes, type Tensor } from "../engine/tensor.js";
import { noGrad } from "../engine/grad-mode.js";
import { scope } from "../engine/scope.js";
import { UserError } from "../errors.js";
import { writeFileAtomic, writeFolderAtomic } from "../storage/atomic-write.js";
import { readJson } from "../storage/json-file.js";
import { readSafetensors, writeSafetensors, type SafetensorsDtype } from "../storage/safetensors.js";
import { ownMoments, type MomentsOf, type TensorContent } from "./gathered-moments.js";
import { readUpkeep, type PendingRefresh, type Upkeep } from "./refresh-policy.js";
import { newProgress, type BestValidation, type Fingerprint, type Improvement, type Progress, type RunState } from "./run-state.js";

/** Raised when the meaning of a checkpoint's files changes. 2: with the schedule's transitions. */
export const CHECKPOINT_FORMAT = 2;

/** The oldest format that is read: a schedule of steps alone had no transitions to keep. */
const OLDEST_FORMAT = 1;

/** Written last: a folder with it is complete. */
const STATE_FILE = "state.json";

/** A run resumes from the newest checkpoint that is there, so taking a broken one away is the way back. */
const REMOVE = "remove the checkpoint's folder; the run then goes on from the one before, or from the start if there is none";

const FOLDER = /^step-(\d+)$/;

const STORED_DTYPE: Readonly<Partial<Record<Dtype, SafetensorsDtype>>> = { f64: "F64", f32: "F32", bf16: "BF16", f16: "F16", i64: "I64" };

export interface CheckpointEntry {
  readonly step: number;
  readonly folder: string;
}

/** What of the progress is stored as it is. Format 1 has none of the last ones, and its first versions, which validated before they saved, not even the first. */
type StoredAsIs = Partial<
  Pick<
    Progress,
    "isPhaseEndDue" | "isValidationDue" | "transitions" | "metrics" | "earlier" | "recent" | "seconds" | "losses" | "rollBacks"
  >
>;

interface StoredState extends StoredAsIs {
  readonly format: number;
  readonly step: number;
  readonly artefacts: Progress["artefacts"];
  readonly best: BestValidation | null;
  readonly improvement?: Improvement | null;
  /** Filled in where an older version left it out. */
  readonly upkeep: Upkeep;
  readonly models: readonly string[];
  readonly fingerprint: Fingerprint;
}

/**
 * Saves `state` as `<folder>/step-<n>` and returns the path. Of a complete checkpoint of that step only `state.json` is written again: its tensors are a function of the step, and replacing a folder takes
 * two renames, between which a kill would leave none.
 *
 * @param momentsOf an optimiser's state, in the first of several workers that share it out: see gathered-moments.ts
 * @throws UserError when the disk is full or the folder can't be written
 */
export function saveCheckpoint(folder: string, state: RunState, momentsOf: MomentsOf = ownMoments): string {
  const { progress, trainables, fingerprint } = state;
  const target = path.join(folder, `step-${String(progress.step).padStart(8, "0")}`);
  const stored: StoredState = {
    format: CHECKPOINT_FORMAT,
    ...progress,
    // JSON has no other numbers, and a condition is decided by none of them.
    metrics: finite(progress.metrics),
    earlier: finite(progress.earlier),
    best: progress.best ?? null,
    improvement: progress.improvement ?? null,
    models: [...trainables.keys()],
    fingerprint,
  };
  const text = `${JSON.stringify(stored, null, 2)}\n`;
  if (existsSync(path.join(target, STATE_FILE))) {
    writeFileAtomic(path.join(target, STATE_FILE), text);
    return target;
  }
  writeFolderAtomic(target, (temporary) => {
    for (const trainable of trainables.values()) {
      writeTensors(path.join(temporary, `${trainable.name}.safetensors`), trainable.parameters);
      writeTensors(path.join(temporary, `${trainable.name}.optimiser.safetensors`), momentsOf(trainable));
    }
    writeFileAtomic(path.join(temporary, STATE_FILE), text);
  });
  return target;
}

/** The complete checkpoints of a run, oldest first. A folder without `state.json` was never finished and isn't listed. */
export function listCheckpoints(folder: string): CheckpointEntry[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .map((name) => ({ match: FOLDER.exec(name), folder: path.join(folder, name) }))
    .filter((entry) => entry.match !== null && existsSync(path.join(entry.folder, STATE_FILE)))
    .map((entry) => ({ step: Number(entry.match?.[1]), folder: entry.folder }))
    .sort((a, b) => a.step - b.step);
}

/**
 * Loads a checkpoint into `state`: parameters and moments are copied into the live tensors, progress is replaced. Of moments that several workers share out each takes its own, whoever wrote them. Returns the fingerprint it was
 * saved under.
 *
 * @throws UserError naming the file: another format version, a missing model, a shape that doesn't fit, a truncated file
 */
export function loadCheckpoint(folder: string, state: RunState): Fingerprint {
  const stored = readState(folder);
  const expected = [...state.trainables.keys()].join(", ");
  if (stored.models.join(", ") !== expected)
    throw new UserError({
      where: folder,
      what: "holds other models than this run trains",
      expected,
      got: stored.models.join(", "),
      remedy: "resume with the run's own config",
    });
  for (const { name, parameters, optimiser } of state.trainables.values()) {
    loadTensors(path.join(folder, `${name}.safetensors`), parameters);
    loadTensors(path.join(folder, `${name}.optimiser.safetensors`), optimiser.state());
  }
  const fresh = newProgress();
  Object.assign(state.progress, {
    step: stored.step,
    artefacts: stored.artefacts,
    best: stored.best ?? undefined,
    isPhaseEndDue: stored.isPhaseEndDue ?? fresh.isPhaseEndDue,
    isValidationDue: stored.isValidationDue ?? fresh.isValidationDue,
    transitions: stored.transitions ?? fresh.transitions,
    metrics: stored.metrics ?? fresh.metrics,
    earlier: stored.earlier ?? fresh.earlier,
    recent: stored.recent ?? fresh.recent,
    seconds: stored.seconds ?? fresh.seconds,
    improvement: stored.improvement ?? undefined,
    losses: stored.losses,
    rollBacks: stored.rollBacks ?? fresh.rollBacks,
    upkeep: { ...stored.upkeep },
  } satisfies Progress);
  return stored.fingerprint;
}

/**
 * Copies only the parameters of some models of a checkpoint into the live ones: optimisers and progress stay as they are.
 *
 * @throws UserError naming the file
 */
export function loadParameters(folder: string, state: RunState, models: readonly string[]): void {
  for (const name of models) {
    const target = state.trainables.get(name);
    if (target === undefined) throw new Error(`checkpoint: the state holds no '${name}'`);
    loadTensors(path.join(folder, `${name}.safetensors`), target.parameters);
  }
}

/** The artefacts that a checkpoint refers to. @throws UserError when it can't be read */
export function checkpointArtefacts(folder: string): Progress["artefacts"] {
  return readState(folder).artefacts;
}

/** The index under way that a checkpoint refers to. @throws UserError when it can't be read */
export function checkpointPending(folder: string): PendingRefresh | undefined {
  return readState(folder).upkeep.pending;
}

/** Deletes all but the newest `keepLast` checkpoints and those of `keepSteps`. Returns what was deleted. */
export function retainCheckpoints(folder: string, keepLast: number, keepSteps: readonly number[]): CheckpointEntry[] {
  const all = listCheckpoints(folder);
  const gone = all.slice(0, Math.max(0, all.length - keepLast)).filter((entry) => !keepSteps.includes(entry.step));
  for (const entry of gone) rmSync(entry.folder, { recursive: true, force: true });
  return gone;
}

/** Deletes the checkpoints after `step`, newest first, so that the newest that is left is never one between two that are gone. */
export function removeCheckpointsAfter(folder: string, step: number): void {
  for (const entry of listCheckpoints(folder).reverse()) if (entry.step > step) rmSync(entry.folder, { recursive: true, force: true });
}

function readState(folder: string): StoredState {
  const file = path.join(folder, STATE_FILE);
  const stored = readJson(file) as Partial<StoredState> | null;
  if (typeof stored !== "object" || stored === null || typeof stored.format !== "number")
    throw new UserError({ where: file, what: "is not a checkpoint's state", remedy: REMOVE });
  if (stored.format < OLDEST_FORMAT || stored.format > CHECKPOINT_FORMAT || !Number.isInteger(stored.format))
    throw new UserError({
      where: file,
      what: "has another format version",
      expected: `${OLDEST_FORMAT} to ${CHECKPOINT_FORMAT}`,
      got: String(stored.format),
      remedy: "resume with the version that wrote it",
    });
  const isRecord = (value: unknown): boolean => typeof value === "object" && value !== null;
  const upkeep = readUpkeep(stored.upkeep);
  if (upkeep === undefined) throw new UserError({ where: file, what: "its upkeep of the index is no state", remedy: REMOVE });
  if (!Number.isSafeInteger(stored.step) || !Array.isArray(stored.models) || !isRecord(stored.artefacts) || !isRecord(stored.fingerprint))
    throw new UserError({ where: file, what: "lacks step, models, artefacts or fingerprint", remedy: REMOVE });
  if (stored.format > 1 && !isTold({ ...stored }))
    throw new UserError({ where: file, what: "lacks what the schedule decided", remedy: REMOVE });
  return { ...(stored as StoredState), upkeep };
}

/** Whether transitions and what decides the next ones are there and right. */
function isTold({ transitions, metrics, earlier = {}, recent, seconds }: Readonly<Record<string, unknown>>): boolean {
  const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
    typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  const isTransition = (value: unknown): boolean => {
    const { entry, step, reason } = fieldsOf(value);
    return Number.isSafeInteger(entry) && Number.isSafeInteger(step) && typeof reason === "string";
  };
  const areNumbers = (value: unknown): boolean =>
    typeof value === "object" && value !== null && Object.values(value).every((each) => typeof each === "number");
  const isLosses = (value: unknown): boolean => typeof fieldsOf(value)["loss"] === "number" && areNumbers(fieldsOf(value)["terms"]);
  const isTime = typeof seconds === "number" && seconds >= 0;
  return (
    isTime &&
    areNumbers(metrics) &&
    areNumbers(earlier) &&
    Array.isArray(transitions) &&
    transitions.every(isTransition) &&
    Array.isArray(recent) &&
    recent.every(isLosses)
  );
}

function finite(values: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => Number.isFinite(value)));
}

function writeTensors(file: string, tensors: ReadonlyMap<string, TensorContent>): void {
  writeSafetensors(
    file,
    [...tensors].map(([name, entry]) => {
      const dtype = STORED_DTYPE[entry.dtype];
      if (dtype === undefined) throw new Error(`checkpoint: dtype ${entry.dtype} of '${name}' is not stored`);
      return { name, dtype, shape: entry.shape, data: () => entry.toBytes() };
    }),
  );
}

function loadTensors(file: string, live: ReadonlyMap<string, Tensor>): void {
  const stored = readSafetensors(file).tensors;
  noGrad(() => {
    for (const [name, target] of live) {
      const given = stored.get(name);
      const expected = `${STORED_DTYPE[target.dtype] ?? target.dtype}[${target.shape.join(",")}]`;
      const got = given === undefined ? "nothing" : `${given.dtype}[${given.shape.join(",")}]`;
      if (given === undefined || expected !== got)
        throw new UserError({
          where: file,
          what: `tensor '${name}' does not fit this model`,
          expected,
          got,
          remedy: "resume with the run's own config",
        });
      scope(() => {
        target.copy_(fromBytes(given.data, target.dtype, target.shape));
      });
    }
  });
}
