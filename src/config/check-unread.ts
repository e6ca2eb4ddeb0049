/**
 * Keys that were set and that nothing reads as the rest stands: a teacher's temperature where the loss has none, shares of retrieved contexts where all are gold, what a switch would do that is off. Each is a warning. Keys of one
 * section that are read together, as the penalties', have their own checks (check-config.ts lists them). The trap: an entry's own settings may be what reads a key of the run, so every entry is looked at with its own config.
 */
import type { Check } from "./check-context.js";
import { contextsOfEntries } from "./entry-contexts.js";
import { isLeaf, type Section } from "./leaf.js";
import { isMarginal, keysOfEntry, soundConfigOfEntry } from "./phase-settings.js";
import { schema, type TandemConfig } from "./schema.js";
import { READER_PHASES } from "./schema-train.js";

/** An entry as it is run. */
interface Run {
  readonly phase: string;
  readonly contexts: ReturnType<typeof contextsOfEntries>[number];
  readonly train: TandemConfig["train"];
}

interface PhaseKey {
  /** Below `train`. */
  readonly key: string;
  readonly isRead: (run: Run) => boolean;
  readonly without: string;
  /** Phases of which there is one, or the whole section is idle, which is nobody's mistake. Default: whatever the schedule has. */
  readonly among?: readonly string[];
}

/** The phase of the evaluation's row without passages, which stands in no schedule and is made from the run's own settings. */
const CLOSED_BOOK = "closed-book";
/** The generator learns answers there: not to copy, and not by a loss of the reader's that trains both models. */
const reads = ({ phase, contexts, train }: Run): boolean =>
  contexts !== "copying" && (phase === "generator" || (phase === "joint" && !isMarginal(train.reader.loss)));
const readsFound = (run: Run): boolean => run.contexts === "retrieved" && reads(run);
/** Made as a generator's phase is, be it of copying. */
const isGenerators = (run: Run): boolean => run.contexts === "copying" || reads(run);
const hasNegatives = ({ phase, train }: Run): boolean => phase === "contrastive" && train.contrastive.hard_negatives > 0;

/** What negatives are mined by. */
const CHOSEN_BY = ["source", "from", "to", "ranks", "absolute_margin", "relative_margin", "max_score", "min_score", "near_positive"];

/** What single phases read. */
const PHASE_KEYS: readonly PhaseKey[] = [
  {
    key: "reader.reader_temperature",
    isRead: ({ phase, train }) => READER_PHASES.includes(phase) && train.reader.loss === "pdist",
    without: "train.reader.loss=pdist",
    among: READER_PHASES,
  },
  {
    key: "reader.rename",
    isRead: ({ phase }) => READER_PHASES.includes(phase),
    without: "a phase in which the reader teaches, with no setting of its own",
    among: READER_PHASES,
  },
  { key: "reader.generator_lr", isRead: ({ phase }) => phase === "joint", without: "a joint phase" },
  ...(["keep_gold", "shuffle_passages", "vary_passages"] as const).map((name) => ({
    key: `generator.${name}`,
    isRead: readsFound,
    without: "a phase whose generator learns from retrieved contexts",
    among: ["generator", "joint"],
  })),
  ...(["passages", "drop_gold"] as const).map((name) => ({
    key: `generator.${name}`,
    isRead: reads,
    without: "a phase whose generator learns by its own loss from contexts with answers",
    among: ["generator", "joint"],
  })),
  {
    key: "generator.other_questions",
    isRead: (run) => reads(run) && run.train.generator.questions_per_context > 1,
    without: "train.generator.questions_per_context above 1 in a phase whose generator learns by its own loss",
    among: ["generator", "joint"],
  },
  ...(["questions_per_context", "copy_weight"] as const).map((name) => ({
    key: `generator.${name}`,
    isRead: isGenerators,
    without: "a phase whose generator learns by its own loss",
    among: ["generator", "joint"],
  })),
  ...(["batch", "batch_tokens", "accumulate", "label_smoothing"] as const).map((name) => ({
    key: `generator.${name}`,
    isRead: (run: Run) => run.phase === CLOSED_BOOK || isGenerators(run),
    without: "a phase whose generator learns by its own loss",
    among: ["generator", "joint"],
  })),
  {
    key: "generator.curriculum.share",
    isRead: ({ contexts }) => contexts === "gold" || contexts === "copying",
    without: "a generator phase that reads gold passages or copies",
    among: ["generator", "joint"],
  },
  ...(["warmup", "flat", "decay", "floor"] as const).map((name) => ({
    key: `generator.${name}`,
    isRead: ({ phase }: Run) => phase === "generator" || phase === CLOSED_BOOK,
    without: "a generator phase: a joint one has the course of train.reader for both models",
    among: ["joint"],
  })),
  ...CHOSEN_BY.map((name) => ({
    key: `contrastive.mining.${name}`,
    isRead: (run: Run) => run.phase === "mine" || hasNegatives(run),
    without: "train.contrastive.hard_negatives",
    among: ["contrastive"],
  })),
  { key: "contrastive.mining.sampling", isRead: hasNegatives, without: "train.contrastive.hard_negatives", among: ["contrastive"] },
];

export function checkUnread(check: Check): void {
  for (const key of PHASE_KEYS) checkPhaseKey(check, key);
  checkSwitches(check);
}

/** The run's own value is for the entries that don't set theirs. */
function checkPhaseKey({ config, warn }: Check, { key, isRead, without, among }: PhaseKey): void {
  const contexts = contextsOfEntries(config.train);
  const entries = config.train.schedule.map((entry, index) => ({
    run: { phase: entry.phase, contexts: contexts[index], train: soundConfigOfEntry(config, index).train },
    own: keysOfEntry(entry).get(key),
    place: `train.schedule.${index}.with`,
  }));
  const closedBook: Run[] = config.eval.closed_book.steps > 0 ? [{ phase: CLOSED_BOOK, contexts: undefined, train: config.train }] : [];
  if (among !== undefined && !entries.some(({ run }) => among.includes(run.phase))) return;
  if (!isDefault(config, key) && ![...closedBook, ...entries.filter(({ own }) => own === undefined).map(({ run }) => run)].some(isRead))
    warn(`train.${key}`, `has no effect without ${without}`);
  for (const { run, own, place } of entries)
    if (own !== undefined && run.contexts !== "copying" && !isDefault(run, key) && !isRead(run))
      warn(`${place}.${own}`, `has no effect without ${without}`);
}

/** What a switch would do that is off. */
function checkSwitches({ config, warn }: Check): void {
  const { early_stopping: stopping, alarms, drift } = config.train;
  if (!config.data.rename.enabled) {
    if (!isDefault(config, "reader.rename")) warn("train.reader.rename", "has no effect without data.rename.enabled");
    config.train.schedule.forEach((entry, index) => {
      const own = keysOfEntry(entry).get("reader.rename");
      if (own !== undefined) warn(`train.schedule.${index}.with.${own}`, "has no effect without data.rename.enabled");
    });
  }
  if (drift.every === null)
    for (const key of ["questions", "passages", "depth", "regret"])
      if (!isDefault(config, `drift.${key}`)) warn(`train.drift.${key}`, "has no effect without train.drift.every");
  for (const [name, rule] of Object.entries(alarms)) {
    const bounds = Object.entries(rule).filter(([key]) => key === "above" || key === "below");
    if (bounds.length > 0 && bounds.every(([, value]) => value === null) && !isDefault(config, `alarms.${name}.action`))
      warn(
        `train.alarms.${name}.action`,
        `has no effect: ${bounds.map(([key]) => key).join(" and ")} ${bounds.length > 1 ? "are" : "is"} null, so the alarm is off`,
      );
  }
  if (stopping.metric === null)
    for (const key of ["patience", "min_delta"])
      if (!isDefault(config, `early_stopping.${key}`))
        warn(`train.early_stopping.${key}`, "has no effect without train.early_stopping.metric");
  if (Object.values(alarms).some((rule) => "action" in rule && rule.action === "roll_back")) return;
  for (const key of ["factor", "at_most"])
    if (!isDefault(config, `alarms.roll_back.${key}`))
      warn(`train.alarms.roll_back.${key}`, "has no effect: no alarm has the action roll_back");
}

/** @param key below `train` */
function isDefault({ train }: Pick<TandemConfig, "train">, key: string): boolean {
  let value: unknown = train;
  let node: Section[string] = schema.train;
  for (const part of key.split(".")) {
    value = (value as Readonly<Record<string, unknown>>)[part];
    if (!isLeaf(node)) node = node[part] as Section[string];
  }
  return isLeaf(node) && node.default === value;
}
