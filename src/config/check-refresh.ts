/**
 * What `train.drift` and `train.refresh` must not say together, and what would never have an effect. It is a part of check-config.ts, which lists it. The trap: a threshold without a measurement is silent, so it is refused rather
 * than left without effect.
 */
import { contextsOfEntries } from "./entry-contexts.js";
import { soundConfigOfEntry } from "./phase-settings.js";
import type { TandemConfig } from "./schema.js";

interface Check {
  readonly config: TandemConfig;
  readonly refuse: (key: string, what: string, remedy: string) => void;
  readonly warn: (key: string, what: string) => void;
}

export function checkDrift({ config, refuse, warn }: Check): void {
  const { every, questions, passages, depth: k, regret } = config.train.drift;
  if (every === null) return;
  if (!config.train.schedule.some(({ phase }) => phase === "refresh"))
    refuse("train.drift.every", "is set, but the schedule has no refresh: there is no index to have moved from", "add {phase: refresh}");
  else if (!readsSome(config) && !config.train.schedule.some(({ phase }) => phase === "contrastive"))
    warn("train.drift.every", "has no effect: no phase trains the retriever or reads the index");
  if (passages < 2 * questions * k)
    refuse(
      "train.drift.passages",
      `is ${passages}: half of them can't hold the first ${k} of ${questions} questions`,
      `set it to at least ${2 * questions * k}, or lower train.drift.questions or depth`,
    );
  if (!regret) return;
  const { most, where } = mostShown(config);
  if (k < most) refuse("train.drift.depth", `is ${k}, but regret is of contexts of ${most} passages${where}`, `set it to at least ${most}`);
}

/** The longest contexts among the phases in which drift is measured, and where that isn't the run's own length. */
function mostShown(config: TandemConfig): { most: number; where: string } {
  const shownBy = ({ train, prompt }: TandemConfig): number => train.generator.passages ?? prompt.passages;
  const measured = config.train.schedule.flatMap(({ phase }, entry) =>
    phase === "contrastive" || (phase !== "mine" && readsFound(config, entry)) ? [entry] : [],
  );
  const shown = measured.map((entry) => shownBy(soundConfigOfEntry(config, entry)));
  const most = Math.max(0, ...shown);
  const entry = measured[shown.indexOf(most)];
  return { most, where: most === shownBy(config) || entry === undefined ? "" : ` in train.schedule.${entry}` };
}

export function checkRefresh({ config, refuse, warn }: Check): void {
  const { drift } = config.train;
  const { on_drift: limits, at_least_every: least, at_most_every: most } = config.train.refresh;
  const set = (["cosine_below", "overlap_below", "regret_above"] as const).filter((name) => limits[name] !== null);
  const [first] = set;
  if (first !== undefined && drift.every === null)
    refuse(`train.refresh.on_drift.${first}`, "is set, but drift isn't measured", "set train.drift.every");
  if (limits.regret_above !== null && !drift.regret)
    refuse("train.refresh.on_drift.regret_above", "is set, but regret isn't measured", "train.drift.regret=true");
  const isAsked = first !== undefined || least !== null;
  if (isAsked && !readsSome(config))
    warn(
      first === undefined ? "train.refresh.at_least_every" : `train.refresh.on_drift.${first}`,
      "has no effect: no phase reads what the index finds",
    );
  if (isAsked && !config.train.schedule.some(({ phase }) => phase === "refresh"))
    warn(
      first === undefined ? "train.refresh.at_least_every" : `train.refresh.on_drift.${first}`,
      "has no effect: the schedule makes no index",
    );
  if (most !== null && !isAsked)
    warn(
      "train.refresh.at_most_every",
      "has no effect without on_drift or at_least_every: the schedule's own refreshes stay where they are",
    );
  if (most !== null && least !== null && most > least)
    refuse("train.refresh.at_most_every", `is ${most}, more than at_least_every (${least})`, `set it to at most ${least}`);
  checkAsynchronous({ config, refuse, warn }, isAsked);
}

function checkAsynchronous({ config, refuse, warn }: Check, isAsked: boolean): void {
  const { asynchronous, swap_after: after, threads } = config.train.refresh;
  if (!asynchronous) {
    if (after !== null) refuse("train.refresh.swap_after", "is set, but refreshes are not asynchronous", "train.refresh.asynchronous=true");
    if (threads !== null) refuse("train.refresh.threads", "is set, but refreshes are not asynchronous", "train.refresh.asynchronous=true");
    return;
  }
  if (after === null) {
    refuse(
      "train.refresh.asynchronous",
      "is true, but nothing says when a new index takes the old one's place",
      "set train.refresh.swap_after",
    );
    return;
  }
  const { schedule, validate } = config.train;
  const refreshes = schedule.flatMap(({ phase }, place) => (phase === "refresh" ? [place] : []));
  refreshes.slice(1).forEach((place, i) => {
    const between = schedule.slice((refreshes[i] ?? 0) + 1, place).reduce((sum, entry) => sum + stepsOf(entry), 0);
    // The first refresh is made at once.
    if (i > 0 && between < after)
      refuse(
        "train.refresh.swap_after",
        `is ${after}, but the schedule refreshes again after ${between} steps: that index would never be read`,
        `set it to at most ${between}`,
      );
  });
  if (refreshes.length < 2 && !isAsked)
    warn("train.refresh.asynchronous", "has no effect: the schedule's first refresh is made at once, and nothing asks for another");
  if (validate.after_each_phase && schedule.some(({ phase }) => !["generator", "refresh", "mine"].includes(phase)))
    warn(
      "train.validate.after_each_phase",
      "is true, so that training waits at each phase's end until the corpus is embedded, whoever makes the next index",
    );
}

/** How many there are of epochs or minutes shows only when data are there. */
function stepsOf({ steps, epochs, minutes }: Check["config"]["train"]["schedule"][number]): number {
  return steps === 0 && (epochs !== null || minutes !== null) ? Infinity : steps;
}

/** Query-side-only training: whatever would move the passages or make their index anew contradicts it. */
export function checkFixedIndex({ config, refuse }: Check): void {
  const { reader, schedule, drift, refresh } = config.train;
  if (!reader.fixed_index) return;
  const key = "train.reader.fixed_index";
  const teaches = ({ phase }: (typeof schedule)[number]): boolean => phase === "reader-distillation" || phase === "joint";
  const first = schedule.findIndex(teaches);
  if (first === -1) refuse(key, "is set, but no phase of the schedule teaches the retriever by the reader", `${key}=false`);
  if (reader.train_passages)
    refuse("train.reader.train_passages", `is true, but with ${key} passages stay as they are`, "train.reader.train_passages=false");
  const contrastive = schedule.findIndex(({ phase }) => phase === "contrastive" || phase === "mine");
  if (contrastive !== -1)
    refuse(
      `train.schedule.${contrastive}.phase`,
      `is ${schedule[contrastive]?.phase ?? ""}, and contrastive training moves passages too, but ${key} is set`,
      `take it out, or ${key}=false`,
    );
  const later = schedule.findIndex(({ phase }, place) => phase === "refresh" && first !== -1 && place > first);
  if (later !== -1)
    refuse(
      `train.schedule.${later}.phase`,
      `is a refresh after training, but with ${key} the index is never refreshed`,
      `take it out, or ${key}=false`,
    );
  const limits = Object.entries(refresh.on_drift).filter(([, limit]) => limit !== null);
  const asked = [
    ...limits.map(([name]) => `train.refresh.on_drift.${name}`),
    ...(refresh.at_least_every === null ? [] : ["train.refresh.at_least_every"]),
    ...(refresh.asynchronous ? ["train.refresh.asynchronous"] : []),
    ...(drift.every === null ? [] : ["train.drift.every"]),
  ];
  for (const name of asked)
    refuse(name, `is set, but with ${key} the index neither drifts nor is refreshed`, `take it out, or ${key}=false`);
}

/** Whether some phase is made of what the index found for the training questions. */
function readsSome(config: TandemConfig): boolean {
  return config.train.schedule.some((_, entry) => readsFound(config, entry));
}

function readsFound(config: TandemConfig, entry: number): boolean {
  const phase = config.train.schedule[entry]?.phase;
  const { hard_negatives: negatives, mining, positives } = soundConfigOfEntry(config, entry).train.contrastive;
  const isMined = positives === "answer" || ((phase === "mine" || negatives > 0) && mining.source !== "bm25");
  const isRead = phase === "reader-distillation" || contextsOfEntries(config.train)[entry] === "retrieved";
  return isRead || ((phase === "contrastive" || phase === "mine") && isMined);
}
