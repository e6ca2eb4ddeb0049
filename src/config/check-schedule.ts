/**
 * What must hold between the entries of the schedule, and between them and the rest: lengths, conditions and the validations they wait for, settings of single phases, early stopping, the best checkpoint. Whether data
 * can feed a phase is checked where data are. The trap: an entry's settings may contradict the run's, so the checks of batches and losses are made once more with each entry's own config.
 */
import type { Check } from "./check-context.js";
import { isDriftMetric, isStepMetric, isValidationMetric, metricsIn, parseCondition } from "./condition.js";
import { checkMines } from "./check-mining.js";
import { contextsOfEntries } from "./entry-contexts.js";
import { configOfEntry, hasOwnCourse, idleSettings, settingFaults } from "./phase-settings.js";
import type { TandemConfig } from "./schema.js";
import { COURSES } from "./schema-train.js";

type Entry = TandemConfig["train"]["schedule"][number];

/** @param again checks that an entry's own settings may offend */
export function checkSchedule(check: Check, again: readonly ((check: Check) => void)[]): void {
  const { config, refuse } = check;
  const { schedule } = config.train;
  if (schedule.every(({ phase }) => isStanding(phase)))
    refuse("train.schedule", "trains nothing", "give it a phase, for example train.schedule='[{phase: generator, steps: 1000}]'");
  schedule.forEach((entry, index) => {
    if (isStanding(entry.phase)) checkStanding(check, entry, index);
    else checkLength(check, entry, index);
    if (entry.phase !== "generator" && entry.contexts !== null)
      refuse(`train.schedule.${index}.contexts`, `means nothing in a ${entry.phase} phase`, "take it out");
    checkConditions(check, entry, index);
    checkSettings(check, entry, index, again);
  });
  checkMines(check);
  checkWarmups(check);
  checkEnds(check);
}

/** Whether a phase trains nothing, and makes what others read. */
function isStanding(phase: Entry["phase"]): boolean {
  return phase === "refresh" || phase === "mine";
}

function checkStanding({ refuse }: Check, entry: Entry, index: number): void {
  const say = (key: string): void => {
    refuse(`train.schedule.${index}.${key}`, `is set, but a ${entry.phase} takes no steps`, "take it out");
  };
  if (entry.steps !== 0) say("steps");
  for (const key of ["epochs", "minutes", "until"] as const) if (entry[key] !== null) say(key);
  if (entry.phase === "refresh" && entry.with !== null) say("with");
}

function checkLength({ config, refuse }: Check, { phase, steps, epochs, minutes }: Entry, index: number): void {
  const key = `train.schedule.${index}`;
  if (steps === 0 && epochs === null && minutes === null)
    refuse(key, `has no length: the ${phase} phase needs steps, epochs or minutes`, "give it one of them, or take the phase out");
  if (steps > 0 && epochs !== null) refuse(`${key}.epochs`, `is set beside steps (${steps})`, "take one of them out");
  if (steps > 0 || epochs !== null || minutes === null) return;
  const section = COURSES.find(([kind]) => kind === phase)?.[1] ?? "generator";
  const { train } = configOfEntry(config, index);
  const { decay } = train[section];
  if (decay !== "constant")
    refuse(
      `${key}.minutes`,
      `stands alone, so the ${decay} fall of train.${section}'s rate has no end to aim at`,
      `give the phase steps too, or train.${section}.decay=constant`,
    );
  const grows = contextsOfEntries(train).some((contexts) => contexts === "gold" || contexts === "copying");
  if (section === "generator" && train.generator.curriculum.share > 0 && grows)
    refuse(
      `${key}.minutes`,
      "stands alone, so nobody knows how long train.generator.curriculum.share of the steps is",
      "give the phase steps too, or train.generator.curriculum.share=0",
    );
}

function checkConditions({ config, refuse, warn }: Check, { steps, until, when }: Entry, index: number): void {
  const { validate, conditions } = config.train;
  const ends = metricsOf(until);
  const key = `train.schedule.${index}`;
  const waited = ends.find(isValidationMetric);
  if (waited !== undefined && validate.every === null)
    refuse(`${key}.until`, `waits for ${waited}, which nothing measures inside a phase`, "set train.validate.every");
  if (ends.some(isStepMetric) && steps > 0 && steps < conditions.window)
    warn(`${key}.until`, `is never decided by the loss: the phase has ${steps} steps, train.conditions.window is ${conditions.window}`);
  const asked = metricsOf(when);
  const drift = [...ends, ...asked].find(isDriftMetric);
  if (drift !== undefined && config.train.drift.every === null)
    refuse(`${key}.${ends.includes(drift) ? "until" : "when"}`, `names ${drift}, which nothing measures`, "set train.drift.every");
  const loss = asked.find(isStepMetric);
  if (loss !== undefined)
    refuse(`${key}.when`, `asks for ${loss}, but a phase that hasn't begun has no loss`, "ask for a metric of the validation");
  if (asked.some(isValidationMetric) && !isValidatedBefore(config, index))
    refuse(
      `${key}.when`,
      "asks for a validation, and none comes before it",
      validate.after_each_phase ? "put a phase before it" : "set train.validate.after_each_phase=true",
    );
  requireRecall(config, refuse, `${key}.until`, ends);
  requireRecall(config, refuse, `${key}.when`, asked);
}

/** Every metric that a condition names; none where the text is wrong, which the leaf says. */
function metricsOf(text: string | null): string[] {
  try {
    return text === null ? [] : metricsIn(parseCondition(text));
  } catch {
    return [];
  }
}

function isValidatedBefore({ train }: TandemConfig, index: number): boolean {
  const before = train.schedule.slice(0, index);
  const { after_each_phase: each, every } = train.validate;
  const steps = before.reduce((sum, entry) => sum + (entry.epochs !== null || entry.minutes !== null ? Infinity : entry.steps), 0);
  // What a mine chooses isn't validated.
  return (each && before.some(({ phase }) => phase !== "mine")) || (every !== null && steps >= every);
}

function requireRecall(
  { eval: { recall_at: measured } }: TandemConfig,
  refuse: Check["refuse"],
  key: string,
  metrics: readonly string[],
): void {
  for (const metric of metrics) {
    const k = /^recall@(\d+)$/.exec(metric)?.[1];
    if (k !== undefined && !measured.includes(Number(k)))
      refuse(key, `names recall@${k}, which eval.recall_at (${measured.join(", ")}) doesn't measure`, `add ${k} to eval.recall_at`);
  }
}

function checkSettings({ config, refuse, warn }: Check, entry: Entry, index: number, again: readonly ((check: Check) => void)[]): void {
  if (entry.with === null) return;
  const key = `train.schedule.${index}.with`;
  const faults = settingFaults(entry);
  for (const fault of faults) refuse(`${key}.${fault.key}`, fault.what, fault.remedy);
  if (faults.length > 0 || entry.phase === "refresh") return;
  for (const idle of idleSettings(config, index)) refuse(`${key}.${idle.key}`, idle.what, idle.remedy);
  const known = new Set<string>();
  const note = (name: string, what: string): string => `${name}: ${what}`;
  const gather: Check = { config, refuse: (...of) => known.add(note(of[0], of[1])), warn: (...of) => known.add(note(...of)) };
  for (const look of again) look(gather);
  const own: Check = {
    config: configOfEntry(config, index),
    refuse: (name, what, remedy) => {
      if (!known.has(note(name, what))) refuse(key, `makes '${name}' one that ${what}`, remedy);
    },
    warn: (name, what) => {
      if (!known.has(note(name, what))) warn(key, `makes '${name}' one that ${what}`);
    },
  };
  for (const look of again) look(own);
}

/** A warm-up is no longer than the steps it is part of; where epochs or minutes say them, that is seen once data are there. */
function checkWarmups({ config, refuse }: Check): void {
  const { schedule } = config.train;
  for (const [kind, section] of COURSES) {
    const own = schedule.filter((entry) => entry.phase === kind && !hasOwnCourse(entry));
    if (own.some(({ steps }) => steps === 0)) continue;
    const total = own.reduce((sum, { steps }) => sum + steps, 0);
    const { warmup } = config.train[section];
    if (total > 0 && warmup > total)
      refuse(
        `train.${section}.warmup`,
        `is ${warmup} of the schedule's ${total} ${kind} steps`,
        `train.${section}.warmup=<at most ${total}>`,
      );
  }
}

/** Early stopping and the best checkpoint both need validations. */
function checkEnds({ config, refuse }: Check): void {
  const { early_stopping: stopping, checkpoint, validate } = config.train;
  const isValidated = validate.after_each_phase || validate.every !== null;
  if (stopping.metric !== null) {
    requireRecall(config, refuse, "train.early_stopping.metric", [stopping.metric]);
    if (!isValidated)
      refuse("train.early_stopping.metric", "is never measured", "set train.validate.every or train.validate.after_each_phase");
  }
  for (const [key, isAsked] of asksForBest(config)) {
    if (!isAsked) continue;
    if (!checkpoint.keep_best) refuse(key, "is set, but the best checkpoint isn't kept", "train.checkpoint.keep_best=true");
    if (!isValidated)
      refuse(key, "is set, but no validation says which is best", "set train.validate.every or train.validate.after_each_phase");
  }
}

/** The keys that go back to the best checkpoint, and whether they are set to. */
function asksForBest({ train }: TandemConfig): (readonly [string, boolean])[] {
  const actions = Object.entries(train.alarms).flatMap(([name, alarm]) =>
    "action" in alarm ? [[`train.alarms.${name}.action`, alarm.action === "roll_back"] as const] : [],
  );
  return [["train.checkpoint.load_best", train.checkpoint.load_best], ...actions];
}
