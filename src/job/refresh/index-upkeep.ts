/**
 * Keeps a run's index true: the schedule's refreshes, those that drift or age asks for, and those that a second process makes while training goes on. Measuring is drift.ts's, deciding refresh-policy.ts's. Which index is read at
 * which step depends on the steps alone: artefacts are named by content, so a new index's name stands in the state from the moment that its snapshot is taken, and its place in the schedule too.
 * The traps: a snapshot stands on the disk before the state refers to it; and a validation that wants the very index that is under way must wait for it, or two processes with different threads would each make it.
 */
import { existsSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { configOfEntry } from "../../config/phase-settings.js";
import type { TandemConfig } from "../../config/schema.js";
import { engineFacts } from "../../engine/info.js";
import { UserError } from "../../errors.js";
import { PartialVectors } from "../../retrieval/partial-vectors.js";
import { restoreFolder } from "../../storage/atomic-write.js";
import {
  DRIFT_AGE,
  isRefreshDue,
  swapStep,
  whyDue,
  type PendingRefresh,
  type RefreshPolicy,
  type Upkeep,
} from "../../training/refresh-policy.js";
import type { CurrentArtefacts, RunState } from "../../training/run-state.js";
import { readsIndex, totalSteps, type SchedulePosition } from "../../training/schedule.js";
import {
  areBuilt,
  currentRetriever,
  indexNameOf,
  retrievalName,
  searchTraining,
  type ArtefactParts,
  type TrainingSearch,
} from "../index/artefacts.js";
import { DriftMeter } from "./drift.js";
import { IndexBuilder } from "./index-builder.js";
import { comparesPositives } from "../mining/choose-negatives.js";
import { positivesOf } from "../mining/positive-scores.js";
import { encoderOverrides } from "../models/models.js";
import type { OpenRun } from "../run/open-run.js";
import { CLOSED_BOOK } from "../phases/phase-parts.js";

/** Seconds that training waited for an index, in the line of the step after the swap, or after a validation that wanted it. */
const WAIT_SECONDS = "refresh/wait_seconds";

/** Folders of the retriever as it was when a refresh began. */
function snapshotFolder(run: string): string {
  return path.join(run, "refresh");
}

export class IndexUpkeep {
  readonly #run: OpenRun;
  readonly #heldOut: ReadonlySet<string>;
  readonly #save: (state: RunState) => void;
  readonly #meter: DriftMeter;
  #builder: IndexBuilder | undefined;

  /**
   * @param heldOut documents whose passages training never sees
   * @param save makes the state last, before something that takes long
   */
  constructor(run: OpenRun, heldOut: ReadonlySet<string>, save: (state: RunState) => void) {
    this.#run = run;
    this.#heldOut = heldOut;
    this.#save = save;
    this.#meter = new DriftMeter(run, heldOut);
  }

  /** Goes on with an index that was under way when the run was left. @throws UserError when its snapshot is gone */
  resume({ progress }: RunState): void {
    const { pending } = progress.upkeep;
    if (pending !== undefined && !areBuilt(this.#run.artefacts, pending.artefacts)) this.#startBuilder(pending);
  }

  /** A refresh of the schedule, which takes one place in the count of steps. It replaces one that is under way. */
  async refresh(state: RunState): Promise<void> {
    await this.#begin(state, state.progress.step + 1);
  }

  /** What a step's line has beside the step's own figures. Says in the state whether the index is due. */
  async stepped(step: number, position: SchedulePosition, state: RunState): Promise<Record<string, number>> {
    const { upkeep, artefacts } = state.progress;
    const figures: Record<string, number> = upkeep.waited === undefined ? {} : { [WAIT_SECONDS]: upkeep.waited };
    delete upkeep.waited;
    if (position.phase === CLOSED_BOOK || artefacts.retrieval === undefined) return figures;
    const { drift, refresh } = this.#run.config.train;
    const isMeasured = drift.every !== null && step % drift.every === 0 && concernsIndex(position, this.#run.config, artefacts);
    const measured: Record<string, number> = isMeasured
      ? { ...(await this.#meter.measure(state, position.phaseIndex)), [DRIFT_AGE]: step - upkeep.refreshedAt }
      : {};
    const finite = Object.entries(measured).filter(([, value]) => Number.isFinite(value));
    upkeep.measured = { ...upkeep.measured, ...Object.fromEntries(finite) };
    const isRead = readsArtefacts(position, this.#run.config, artefacts);
    const isWaiting = waitsForMine(position, artefacts);
    const policy = policyOf(refresh);
    const rings = (isRead || isWaiting) && isRefreshDue(policy, upkeep, step, measured);
    upkeep.isDue = rings || (isWaiting && upkeep.isDue);
    if (rings) upkeep.why = whyDue(policy, upkeep, step, measured);
    else if (!upkeep.isDue) delete upkeep.why;
    return { ...figures, ...measured };
  }

  /** Between two steps: the swap, where it is time for it, and what drift asks for. */
  async between(position: SchedulePosition | undefined, state: RunState): Promise<"same" | "changed"> {
    const { progress } = state;
    this.#requireSound(state);
    const { pending } = progress.upkeep;
    const isRead = position !== undefined && readsArtefacts(position, this.#run.config, progress.artefacts);
    // What a mine chooses stays, so it doesn't choose from an index that is about to be replaced.
    const isMine = isRead && position.phase === "mine";
    if (pending !== undefined && (position === undefined || isMine || progress.step >= pending.swapAt)) {
      await this.#swap(pending, state);
      return "changed";
    }
    if (position?.stepInPhase === 0 && isRead) this.#ringByAge(state);
    if (!progress.upkeep.isDue) return "same";
    // A phase that doesn't read the index has no use for a new one, and a refresh of the schedule makes its own.
    if (position === undefined || !isRead) {
      progress.upkeep.isDue = position !== undefined && waitsForMine(position, progress.artefacts);
      return "same";
    }
    this.#run.report({ type: "note", text: `refresh at step ${progress.step}: ${progress.upkeep.why ?? "it was due"}` });
    return this.#begin(state, progress.step, isMine);
  }

  /** Age rings after the steps of phases that read the index; in all others it grows old unheard, so it is looked at before the first step of one that reads it. What it says follows from the state: a resumed run hears the same. */
  #ringByAge({ progress: { step, upkeep, artefacts } }: RunState): void {
    const policy = policyOf(this.#run.config.train.refresh);
    if (upkeep.isDue || artefacts.retrieval === undefined || !isRefreshDue(policy, upkeep, step, {})) return;
    Object.assign(upkeep, { isDue: true, why: whyDue(policy, upkeep, step, {}) });
  }

  /**
   * Waits for the index under way where a validation is about to make the same one. `skip`: there is nothing to validate after a refresh that has only begun; the pair is the one before it.
   */
  async beforeValidation(position: SchedulePosition, { progress }: RunState): Promise<"validate" | "skip"> {
    const { pending } = progress.upkeep;
    if (pending === undefined) return "validate";
    if (position.phase === "refresh") return "skip";
    if (indexNameOf(this.#run.artefacts, this.#run.encoder) === pending.artefacts.index)
      await this.#waitFor(pending, progress.upkeep, ", which a validation wants");
    return "validate";
  }

  /** The latest figures of drift, by their names in the log. */
  figures({ progress }: RunState): Readonly<Record<string, number>> {
    return progress.upkeep.measured;
  }

  /** Ends the second process; the run goes on with its snapshot another time. */
  close(): void {
    void this.#builder?.stop();
    this.#builder = undefined;
  }

  /** Gives up an index that another one replaces before it was read, and what was half written of it. */
  async #abandon({ artefacts: { index, retrieval } }: PendingRefresh): Promise<void> {
    await this.#builder?.stop();
    this.#builder = undefined;
    const { indexFolder, retrievalFolder } = this.#run.artefacts;
    restoreFolder(path.join(indexFolder, index));
    restoreFolder(path.join(retrievalFolder, retrieval));
    // Their name goes by the weights of then, which are gone. Whatever else is half-made is of a killed run, and is made again.
    PartialVectors.discardAll(indexFolder);
  }

  /** @param isAtOnce not beside training, whatever the config says */
  async #begin(state: RunState, step: number, isAtOnce = false): Promise<"same" | "changed"> {
    const { progress } = state;
    const { artefacts, config } = this.#run;
    if (progress.upkeep.pending !== undefined) await this.#abandon(progress.upkeep.pending);
    const after = isAtOnce ? undefined : swapAfterOf(config);
    const swapAt = swapStep(after, progress.artefacts.index !== undefined, step, this.#end());
    if (swapAt !== undefined) {
      const pending = this.#snapshot(step, swapAt);
      if (!areBuilt(artefacts, pending.artefacts)) this.#startBuilder(pending);
      Object.assign(progress.upkeep, { isDue: false, pending });
      return "same";
    }
    // A run that is killed in the build knows from here on that one is due.
    if (progress.upkeep.isDue) this.#save(state);
    const { retriever, indexName } = await currentRetriever(artefacts, this.#run.encoder, "refresh");
    try {
      progress.artefacts = renewed(progress.artefacts, await searchTraining(artefacts, retriever, indexName, this.#wanted()));
    } finally {
      retriever.index.dispose();
    }
    Object.assign(progress.upkeep, { isDue: false, pending: undefined, refreshedAt: step });
    forgetDrift(progress);
    return "changed";
  }

  #snapshot(step: number, swapAt: number): PendingRefresh {
    const { artefacts, encoder, places } = this.#run;
    const index = indexNameOf(artefacts, encoder);
    const folder = path.join(snapshotFolder(places.path), index);
    if (!existsSync(folder)) encoder.save(folder);
    const retrieval = retrievalName(artefacts.index, index, this.#wanted());
    return { startedAt: step, swapAt, snapshot: index, artefacts: { index, retrieval } };
  }

  async #swap(pending: PendingRefresh, state: RunState): Promise<void> {
    const { progress } = state;
    if (!areBuilt(this.#run.artefacts, pending.artefacts)) this.#save(state);
    await this.#waitFor(pending, progress.upkeep);
    this.close();
    const { validated } = progress.artefacts;
    progress.artefacts = { ...renewed(progress.artefacts, pending.artefacts), ...(validated === undefined ? {} : { validated }) };
    Object.assign(progress.upkeep, { pending: undefined, refreshedAt: pending.startedAt });
    forgetDrift(progress);
  }

  /** Waits until an index under way stands, and tells for how long: in the log's next line, and as a note where it took any time. @param why behind the note */
  async #waitFor(pending: PendingRefresh, upkeep: Upkeep, why = ""): Promise<void> {
    const { artefacts, report } = this.#run;
    const start = performance.now();
    const isLate = !areBuilt(artefacts, pending.artefacts);
    if (isLate) {
      if (this.#builder === undefined) this.#startBuilder(pending);
      report({ type: "stage", name: "refresh", detail: `waiting for the index of step ${pending.startedAt}` });
      await this.#builder?.finished();
    }
    const seconds = isLate ? (performance.now() - start) / 1000 : 0;
    upkeep.waited = (upkeep.waited ?? 0) + seconds;
    if (isLate) report({ type: "note", text: `training waited ${seconds.toFixed(1)} s for the index of step ${pending.startedAt}${why}` });
  }

  /** A build that failed ends the run, with the state saved. @throws what the second process failed of */
  #requireSound(state: RunState): void {
    const failure = this.#builder?.failure;
    const { pending } = state.progress.upkeep;
    if (failure === undefined || (pending !== undefined && areBuilt(this.#run.artefacts, pending.artefacts))) return;
    this.#save(state);
    throw failure;
  }

  #startBuilder(pending: PendingRefresh): void {
    const { artefacts, config, places, report } = this.#run;
    const encoder = path.join(snapshotFolder(places.path), pending.snapshot);
    if (!existsSync(encoder))
      throw new UserError({
        where: encoder,
        what: `is gone: the retriever as it was at step ${pending.startedAt}, which an index was being made of`,
        remedy: "remove the newest checkpoint; the run then goes on from the one before",
      });
    const { questions, heldOut, k } = this.#wanted();
    this.#builder = IndexBuilder.start(
      {
        encoder,
        overrides: encoderOverrides(config.retriever),
        corpus: artefacts.store.folder,
        template: artefacts.template,
        indexFolder: artefacts.indexFolder,
        retrievalFolder: artefacts.retrievalFolder,
        index: artefacts.index,
        device: artefacts.device,
        threads: config.train.refresh.threads ?? engineFacts().threads,
        search: {
          questions: questions.map(({ id, question }) => ({ id, question })),
          heldOut: [...heldOut],
          k,
          ...(this.#comparesPositives() ? { goldRows: this.#run.phases.goldRows } : {}),
        },
        expected: pending.artefacts,
      },
      // Its progress would stand between the steps'.
      (message) => (message.type === "progress" ? undefined : report(message)),
    );
  }

  #wanted(): TrainingSearch {
    const { sets, depth, phases, store, artefacts, config, encoder } = this.#run;
    const about = { questions: sets.train, goldRows: phases.goldRows, metric: config.index.metric, store, template: artefacts.template };
    const positives = this.#comparesPositives() ? positivesOf(encoder, about) : undefined;
    return { questions: sets.train, heldOut: this.#heldOut, k: depth, positives };
  }

  /** Whether the margins of some contrastive phase or mine compare with the scores of the positives. */
  #comparesPositives(): boolean {
    const { config } = this.#run;
    return config.train.schedule.some(({ phase }, entry) => {
      const { hard_negatives: wanted, mining } = configOfEntry(config, entry).train.contrastive;
      const isMined = phase === "mine" || (phase === "contrastive" && wanted > 0);
      return isMined && config.index.metric !== "l2" && comparesPositives(mining);
    });
  }

  /** Steps of the schedule that may read an index. */
  #end(): number {
    const { schedule, state } = this.#run;
    return totalSteps(
      schedule.filter(({ phase }) => phase !== CLOSED_BOOK),
      state.progress.transitions,
    );
  }
}

/** What was measured is of an index that isn't read any more: no condition may go by it. */
function forgetDrift({ upkeep, metrics, earlier }: RunState["progress"]): void {
  upkeep.measured = {};
  delete upkeep.why;
  for (const values of [metrics, earlier])
    for (const name of Object.keys(values)) if (name.startsWith("drift/")) Reflect.deleteProperty(values, name);
}

/** The artefacts after a refresh: what BM25 found stands, the negatives chosen from the last index don't. */
function renewed({ mining }: CurrentArtefacts, found: { index: string; retrieval: string }): CurrentArtefacts {
  if (mining?.isKept === true) return { ...found, mining };
  return mining?.lexical === undefined ? found : { ...found, mining: { lexical: mining.lexical } };
}

/** Removes snapshots whose index stands, or that nothing refers to. */
export function retainSnapshots(
  run: string,
  parts: Pick<ArtefactParts, "indexFolder" | "retrievalFolder">,
  referred: readonly PendingRefresh[],
): void {
  const folder = snapshotFolder(run);
  if (!existsSync(folder)) return;
  const kept = new Set(referred.filter(({ artefacts }) => !areBuilt(parts, artefacts)).map(({ snapshot }) => snapshot));
  for (const name of readdirSync(folder))
    if (/^[0-9a-f]{16}$/.test(name) && !kept.has(name)) rmSync(path.join(folder, name), { recursive: true, force: true });
}

/** Whether a phase is made of what the index found for the training questions. */
function readsArtefacts(
  { phase, phaseIndex, contexts }: Pick<SchedulePosition, "phase" | "phaseIndex" | "contexts">,
  config: TandemConfig,
  artefacts: CurrentArtefacts,
): boolean {
  const { hard_negatives: negatives, mining, positives } = configOfEntry(config, phaseIndex).train.contrastive;
  const asksIndex = mining.source !== "bm25";
  if (phase === "mine") return positives === "answer" || asksIndex;
  // Negatives that a mine chose stay, whatever index comes.
  const isMined = negatives > 0 && asksIndex && artefacts.mining?.isKept !== true;
  if (phase === "contrastive") return positives === "answer" || isMined;
  return readsIndex(phase) || contexts === "retrieved";
}

/** Whether a phase trains on negatives that stay: a refresh that is due is of no use to it, but to the next mine. */
function waitsForMine({ phase }: Pick<SchedulePosition, "phase">, { mining }: CurrentArtefacts): boolean {
  return phase === "contrastive" && mining?.isKept === true;
}

/** Drift is worth a measurement where the retriever is trained or its index read. */
function concernsIndex(position: SchedulePosition, config: TandemConfig, artefacts: CurrentArtefacts): boolean {
  return position.phase === "contrastive" || readsArtefacts(position, config, artefacts);
}

function policyOf({
  on_drift: onDrift,
  at_least_every: atLeastEvery,
  at_most_every: atMostEvery,
}: TandemConfig["train"]["refresh"]): RefreshPolicy {
  const { cosine_below: cosineBelow, overlap_below: overlapBelow, regret_above: regretAbove } = onDrift;
  return { onDrift: { cosineBelow, overlapBelow, regretAbove }, atLeastEvery, atMostEvery };
}

function swapAfterOf({ train }: TandemConfig): number | undefined {
  return train.refresh.asynchronous ? (train.refresh.swap_after ?? undefined) : undefined;
}
