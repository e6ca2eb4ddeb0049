/**
 * Everything that changes while training, in one value: where the schedule stands, which artefacts are current, the models and their optimisers. Not the artefacts themselves
 * (indexes, retrieved contexts): those are immutable folders, named by content, that the state refers to. The trap: whatever a step reads must be here or be a function
 * of seed, step and the artefacts; a value kept anywhere else makes a resumed run another run.
 */
import { AdamW, type ParameterGroup } from "../engine/adamw.js";
import { engineFacts } from "../engine/info.js";
import type { Tensor } from "../engine/tensor.js";
import type { LossWindow } from "./loss-spike.js";
import type { Optimiser } from "./optimiser.js";
import { newUpkeep, type Upkeep } from "./refresh-policy.js";
import type { Transition } from "./schedule.js";
import { ShardedAdamW, type OptimiserShards } from "./sharded-adamw.js";

/** The artefacts of mining hard negatives, by folder name in `retrieval/`. */
export interface MiningArtefacts {
  /** What BM25 found for the training questions: the same in all of a run. */
  readonly lexical?: string;
  /** The teacher's scores of the candidates. */
  readonly teacher?: string;
  /** The hard negatives of each question. */
  readonly mined?: string;
  /** A `mine` of the schedule chose them: they stay, whatever index comes, until it mines again. */
  readonly isKept?: true;
}

/** The artefacts that the current phase works with, by folder name; undefined before the first refresh. */
export interface CurrentArtefacts {
  /** `index/<name>`: the index by the retriever as it was at the last refresh. */
  readonly index?: string;
  /** `retrieval/<name>`: what that index found for the training questions: contexts and hard negatives. */
  readonly retrieval?: string;
  /** `retrieval/<name>`: what hard negatives were chosen from and which were; see job/mining. */
  readonly mining?: MiningArtefacts;
  /** `index/<name>`: what the last validation searched; the refresh after it finds the index there. */
  readonly validated?: string;
}

export interface BestValidation {
  readonly metric: string;
  readonly value: number;
  /** Global steps done when it was measured. */
  readonly step: number;
}

/** What must be equal for a resumed run to equal the uninterrupted one bit for bit. */
export interface Fingerprint {
  readonly torch: string;
  readonly processor: string;
  readonly threads: number;
  readonly workers: number;
  /** Its kind, `cpu` or `cuda`: of several workers with a GPU each the first's checkpoint is all others'. */
  readonly device: string;
  readonly precision: string;
}

/** The run went back to a checkpoint because of an alarm. */
export interface RollBack {
  /** The step at which the alarm rang. */
  readonly at: number;
  /** The checkpoint's step. */
  readonly to: number;
  /** Multiplies all learning rates from there on. */
  readonly rate: number;
}

/** What one step of a phase lost, in all and by term. */
export interface StepLosses {
  readonly loss: number;
  readonly terms: Readonly<Record<string, number>>;
}

/** How training goes on by the metric that may stop it early. */
export interface Improvement {
  readonly best: number;
  /** Validations since then. */
  readonly waited: number;
}

/** The part of the state that isn't tensors: the JSON of a checkpoint. */
export interface Progress {
  /** Optimiser steps, refreshes and mines done, over the whole schedule. */
  step: number;
  artefacts: CurrentArtefacts;
  best: BestValidation | undefined;
  /** The step was a phase's last and what follows a phase, its validation, isn't done yet. */
  isPhaseEndDue: boolean;
  /** A validation inside the phase isn't done yet. */
  isValidationDue: boolean;
  /** Entries of the schedule that were left early or passed over, in their order. */
  transitions: Transition[];
  /** The latest value of each metric that a condition may name, measured in the entry that is under way; whoever measures one writes it here. */
  metrics: Record<string, number>;
  /** The latest values from before that entry. An entry may begin by them, and never ends by them. */
  earlier: Record<string, number>;
  /** Losses of the current phase's last steps, as far as a condition needs them. */
  recent: StepLosses[];
  /** Seconds in the current phase's steps, over all attempts. */
  seconds: number;
  improvement: Improvement | undefined;
  /** The latest losses, for the alarm that looks for spikes; undefined before the first step, and where it is off. */
  losses: LossWindow | undefined;
  /** Oldest first. */
  rollBacks: readonly RollBack[];
  /** How old the index is, whether a new one is due or under way. */
  upkeep: Upkeep;
}

/** The latest value of each metric, whenever it was measured. */
export function latestMetrics({ metrics, earlier }: Pick<Progress, "metrics" | "earlier">): Readonly<Record<string, number>> {
  return { ...earlier, ...metrics };
}

/** What all learning rates are multiplied by. */
export function rateScale({ rollBacks }: Pick<Progress, "rollBacks">): number {
  return rollBacks.reduce((scale, { rate }) => scale * rate, 1);
}

/** A model that is trained: its parameters by name and their optimiser. */
export interface Trainable {
  readonly name: string;
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly optimiser: Optimiser;
}

export interface RunState {
  readonly progress: Progress;
  readonly trainables: ReadonlyMap<string, Trainable>;
  readonly fingerprint: Fingerprint;
}

/** A state before step 1. */
export function newRunState(trainables: readonly Trainable[], fingerprint: Fingerprint): RunState {
  return { progress: newProgress(), trainables: new Map(trainables.map((entry) => [entry.name, entry])), fingerprint };
}

/** Before step 1. */
export function newProgress(): Progress {
  return {
    step: 0,
    artefacts: {},
    best: undefined,
    isPhaseEndDue: false,
    isValidationDue: false,
    transitions: [],
    metrics: {},
    earlier: {},
    recent: [],
    seconds: 0,
    improvement: undefined,
    losses: undefined,
    rollBacks: [],
    upkeep: newUpkeep(),
  };
}

/**
 * A model with a fresh optimiser over `groups`.
 *
 * @param shards where the workers of a run share the moments out among themselves
 */
export function trainable(
  name: string,
  groups: readonly ParameterGroup[],
  options: { betas: readonly [number, number]; eps: number },
  shards?: OptimiserShards,
): Trainable {
  const parameters = new Map(groups.flatMap((group) => [...group.parameters]));
  const optimiser = shards === undefined ? new AdamW(groups, options) : new ShardedAdamW(groups, options, shards);
  return { name, parameters, optimiser };
}

/** This process's fingerprint. @param options.device `cpu` or `cuda:N` */
export function fingerprint(options: { workers: number; device: string; precision: string }): Fingerprint {
  const facts = engineFacts();
  const device = options.device.replace(/:\d+$/, "");
  return { torch: facts.torchVersion, processor: facts.cpuCapability, threads: facts.threads, ...options, device };
}

/** The names of what differs between two fingerprints, as `name: was A, is B`. */
export function fingerprintDifferences(saved: Fingerprint, current: Fingerprint): string[] {
  const names = ["torch", "processor", "threads", "workers", "device", "precision"] as const;
  return names.filter((name) => saved[name] !== current[name]).map((name) => `${name}: was ${saved[name]}, is ${current[name]}`);
}
