/**
 * What the gradient audit looks at: a phase for each entry of the schedule as that entry trains it, with its own contexts, settings and penalties, copying and closed-book phases included. Entries that are alike share one.
 * Before there is an index, other passages stand in for what would be found: whether a term has a gradient doesn't depend on their being right. The trap: the sentence filter embeds by a retriever that is itself trained, so the audit does without.
 */
import type { TandemConfig } from "../../config/schema.js";
import { auditGradients, type AuditRow } from "../../training/gradient-audit.js";
import type { Phase } from "../../training/phase.js";
import { plannedSteps, positionAt, updatesNothing, type SchedulePosition } from "../../training/schedule.js";
import type { OpenRun } from "../run/open-run.js";

/** A phase, and the entries of the schedule that train it so. */
export interface AuditedPhase {
  readonly entries: readonly number[];
  readonly position: SchedulePosition;
  /** Makes it. @param change of the entries' own config */
  readonly make: (change?: (own: TandemConfig) => TandemConfig) => Phase;
}

/** In the schedule's order, the closed-book generator's last. */
export function auditedPhases({ config, phases, schedule }: Pick<OpenRun, "config" | "phases" | "schedule">): AuditedPhase[] {
  // The place of what comes after an entry without a planned end could not be counted.
  const finite = schedule.map((entry) => (entry.steps === Infinity ? { ...entry, steps: 1 } : entry));
  const alike = new Map<string, { position: SchedulePosition; entries: number[] }>();
  for (const [entry, { phase }] of finite.entries()) {
    if (updatesNothing(phase)) continue;
    const position = positionAt(finite, plannedSteps(finite.slice(0, entry)));
    if (position === undefined) throw new Error(`the schedule has no entry ${entry}`);
    const key = JSON.stringify([phase, position.contexts, config.train.schedule[entry]?.with]);
    const known = alike.get(key);
    if (known === undefined) alike.set(key, { position, entries: [entry] });
    else known.entries.push(entry);
  }
  return [...alike.values()].map(({ position, entries }) => ({
    entries,
    position,
    make: (change = (own) => own) => phases.standIn(position, 1, (own) => unfiltered(change(own))).phase,
  }));
}

/** The gradient audit of a whole run. @throws UserError naming the first pair without a gradient */
export function auditRows(run: OpenRun): AuditRow[] {
  const { batches } = run.config.train.audit;
  return auditedPhases(run).flatMap(({ entries, make }) => auditGradients(make(), { batches, entries }));
}

function unfiltered(config: TandemConfig): TandemConfig {
  return { ...config, prompt: { ...config.prompt, sentence_filter: { ...config.prompt.sentence_filter, sentences: null, tokens: null } } };
}
