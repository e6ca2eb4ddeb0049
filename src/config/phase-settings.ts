/**
 * What an entry of the schedule sets for itself alone (`with`): keys of its phase's section, and of the penalties where its phase has them. Each key is checked by the schema's own leaf of the section. It makes the
 * config that the entry's phase is built from. The trap: the optimiser's moments last the whole run, so an entry with other betas goes on from the moments of the entries before it.
 */
import { isLeaf, type Leaf, type Section } from "./leaf.js";
import { didYouMean, nearestKeys, nearestNames } from "./nearest.js";
import { schemaKeys, schemaLeaves } from "./schema-keys.js";
import type { TandemConfig } from "./schema.js";
import { COURSES, train as trainSchema } from "./schema-train.js";

type TrainConfig = TandemConfig["train"];
type Entry = TrainConfig["schedule"][number];

/** The keys that give a phase a course of its own, over its own steps. */
const COURSE_KEYS = ["lr", "generator_lr", "warmup", "flat", "decay", "floor"];
/** Keys that hold for a whole run, whatever the phase, and what is said of them. */
const OF_THE_RUN: Readonly<Record<string, string>> = {
  contexts: "is a key of the entry itself",
  unknown_answer: "is counted in the evaluation too, so it belongs to the whole run",
};
/** The course of a joint phase is the reader's, for both models. */
const READERS_COURSE = /^generator\.(warmup|flat|decay|floor)$/;
/** What a mine chooses negatives by; which of them a batch has is the contrastive phase's. */
const MINING = /^(mining\.(?!sampling$)|positives$)/;

/** What a generator phase that copies doesn't read: penalties, and all that is said of found passages and of questions. */
const NOT_OF_COPYING = /^(penalties\.|passages$|keep_gold$|shuffle_passages$|vary_passages$|drop_gold$|other_questions$)/;

const TEACHER = "contrastive.mining.teacher.";

/** A key that can't be set by an entry. */
export interface SettingFault {
  /** As it was written, below `with`. */
  readonly key: string;
  readonly what: string;
  readonly remedy: string;
}

/** `with` as dotted keys of the `train` section, each with the value; what has no place there is left to {@link settingFaults}. */
function settingsOf(entry: Pick<Entry, "phase" | "with">): Map<string, unknown> {
  const placed = new Map<string, unknown>();
  for (const [key, value] of writtenSettings(entry)) {
    const place = keyOf(entry.phase, key);
    if (place !== undefined) placed.set(place, value);
  }
  return placed;
}

/** The keys below `train` that an entry sets for itself, each with the key as it was written. */
export function keysOfEntry(entry: Pick<Entry, "phase" | "with">): Map<string, string> {
  const places = [...writtenSettings(entry).keys()].map((key) => [keyOf(entry.phase, key), key] as const);
  return new Map(places.filter((pair): pair is [string, string] => pair[0] !== undefined));
}

/** Whether an entry's rate runs over its own steps. */
export function hasOwnCourse(entry: Pick<Entry, "phase" | "with">): boolean {
  return [...settingsOf(entry).keys()].some(
    (key) => COURSE_KEYS.includes(key.slice(key.lastIndexOf(".") + 1)) && !key.startsWith("penalties."),
  );
}

/** The config that an entry's phase is made from: the run's own, with the entry's settings over it. */
export function configOfEntry<Config extends { readonly train: TrainConfig }>(config: Config, index: number): Config {
  const entry = config.train.schedule[index];
  if (entry === undefined || entry.with === null) return config;
  let train: unknown = config.train;
  for (const [key, value] of settingsOf(entry)) train = put(train, key.split("."), value);
  return { ...config, train: train as TrainConfig };
}

/** Whether the generator learns to write answers in an entry: as its own phase does, or beside a reader that only teaches; not where the reader's loss trains both models. */
export function trainsByAnswers(config: { readonly train: TrainConfig }, index: number): boolean {
  const phase = config.train.schedule[index]?.phase;
  if (phase !== "joint") return phase === "generator";
  return !isMarginal(soundConfigOfEntry(config, index).train.reader.loss);
}

/** Whether a reader's loss sums the passages out, and so is the reader's own in a joint phase. */
export function isMarginal(loss: TrainConfig["reader"]["loss"]): boolean {
  return loss === "rag_sequence" || loss === "rag_token";
}

/** Whether an entry's phase has the penalties that have a weight. What is copied is no answer and has none. */
export function takesPenalties(config: { readonly train: TrainConfig }, index: number): boolean {
  return trainsByAnswers(config, index) && config.train.schedule[index]?.contexts !== "copying";
}

/** {@link configOfEntry} for checks that look at other entries too: one whose settings are wrong, which is said elsewhere, has none. */
export function soundConfigOfEntry<Config extends { readonly train: TrainConfig }>(config: Config, index: number): Config {
  const entry = config.train.schedule[index];
  return entry === undefined || settingFaults(entry).length > 0 ? config : configOfEntry(config, index);
}

/** Everything that is wrong with an entry's `with`. */
export function settingFaults(entry: Pick<Entry, "phase" | "with">): SettingFault[] {
  return [...writtenSettings(entry)].flatMap(([key, value]) => {
    const fault = faultOf(entry.phase, key, value);
    return fault === undefined ? [] : [{ key, ...fault }];
  });
}

/** Keys of an entry's `with` that its phase has, but, as the config stands, doesn't read. */
export function idleSettings(config: { readonly train: TrainConfig }, index: number): SettingFault[] {
  const entry = config.train.schedule[index];
  if (entry === undefined) return [];
  const keys = [...writtenSettings(entry).keys()];
  if (entry.phase === "generator" && entry.contexts === "copying")
    return keys
      .filter((key) => NOT_OF_COPYING.test(key))
      .map((key) => ({ key, what: "has no effect: a phase with contexts: copying doesn't read it", remedy: "take it out" }));
  if (entry.phase !== "joint" || takesPenalties(config, index)) return [];
  const { loss } = soundConfigOfEntry(config, index).train.reader;
  return keys
    .filter((key) => key.startsWith("penalties."))
    .map((key) => ({ key, what: `has no effect: ${loss} trains the generator by itself`, remedy: "take it out" }));
}

function faultOf(phase: string, key: string, value: unknown): { what: string; remedy: string } | undefined {
  const place = keyOf(phase, key);
  const leaf = place === undefined ? undefined : leaves().get(place);
  const isForeign = phase === "mine" && !MINING.test(key);
  if (place === undefined || leaf === undefined || isForeign) return { what: `is no key of a ${phase} phase`, remedy: nearest(phase, key) };
  const last = place.slice(place.lastIndexOf(".") + 1);
  if (phase === "joint" && last === "contexts")
    return { what: "means nothing in a joint phase, whose contexts are what the index found", remedy: "take it out" };
  if (phase === "joint" && READERS_COURSE.test(key))
    return {
      what: "isn't read in a joint phase, whose course is train.reader's for both models",
      remedy: `write ${last} without generator.`,
    };
  // Its folder is made an absolute path, and its content noted, once a run.
  const ofRun = place.startsWith(TEACHER) ? "belongs to the whole run" : OF_THE_RUN[last];
  if (ofRun !== undefined) return { what: ofRun, remedy: last === "contexts" ? "write it beside steps" : `set train.${place} for the run` };
  try {
    leaf.format(value);
    return undefined;
  } catch (error) {
    return { what: `is ${shown(value)}, ${(error as Error).message}`, remedy: `see train.${place}` };
  }
}

/** Where a key of `with` stands in the `train` section; undefined: nowhere. */
function keyOf(phase: string, key: string): string | undefined {
  const section = sectionOf(phase);
  if (section === undefined) return undefined;
  const [top] = key.split(".");
  if (othersOf(phase).includes(top ?? "")) return key;
  return `${section}.${key}`;
}

function sectionOf(phase: string): string | undefined {
  if (phase === "mine") return "contrastive";
  return COURSES.find(([kind]) => kind === phase)?.[1];
}

/** Sections of `train` that a phase reads beside its own; their keys are written with the section's name. */
function othersOf(phase: string): readonly string[] {
  if (phase === "generator") return ["penalties"];
  return phase === "joint" ? ["penalties", "generator"] : [];
}

function nearest(phase: string, key: string): string {
  const section = sectionOf(phase);
  const own = section === undefined ? [] : schemaKeys((trainSchema as Section)[section] as Section);
  const others = othersOf(phase).flatMap((name) => schemaKeys((trainSchema as Section)[name] as Section, `${name}.`));
  const names = [...own, ...others].filter(
    (name) => OF_THE_RUN[name.slice(name.lastIndexOf(".") + 1)] === undefined && (phase !== "mine" || MINING.test(name)),
  );
  return didYouMean(
    nearestNames(key, names).length > 0 ? nearestNames(key, names) : nearestKeys(key, names),
    section === undefined ? "take it out" : `see train.${section}`,
  );
}

/** What an entry sets for itself, by the keys as they were written, nested ones dotted. */
export function writtenSettings({ with: settings }: Pick<Entry, "with">): Map<string, unknown> {
  const found = new Map<string, unknown>();
  const walk = (value: Readonly<Record<string, unknown>>, prefix: string): void => {
    for (const [key, below] of Object.entries(value))
      if (typeof below === "object" && below !== null && !Array.isArray(below)) walk(below as Record<string, unknown>, `${prefix}${key}.`);
      else found.set(prefix + key, below);
  };
  walk(settings ?? {}, "");
  return found;
}

function leaves(): Map<string, Leaf<unknown>> {
  return new Map(
    schemaLeaves(trainSchema as Section)
      .filter(({ leaf }) => isLeaf(leaf))
      .map(({ key, leaf }) => [key, leaf]),
  );
}

function put(tree: unknown, [key = "", ...rest]: readonly string[], value: unknown): unknown {
  const node = tree as Readonly<Record<string, unknown>>;
  return { ...node, [key]: rest.length === 0 ? value : put(node[key], rest, value) };
}

function shown(value: unknown): string {
  const text = typeof value === "number" ? String(value) : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
