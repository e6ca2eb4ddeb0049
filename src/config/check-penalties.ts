/**
 * What the penalties' keys must say together: a direction for keywords, a length that an answer can have, a mode with what it draws. A key that the chosen mode doesn't read is warned about. The trap: unlikelihood on
 * sequences has no mode, so answers may be drawn though the mode is teacher_forced.
 */
import type { Check } from "./check-context.js";
import { isMarginal, soundConfigOfEntry, takesPenalties } from "./phase-settings.js";
import { schema } from "./schema.js";

export function checkPenalties(check: Check): void {
  checkCounts(check);
  checkMode(check);
  checkUsed(check);
  const { config, warn } = check;
  const { loss } = config.train.reader;
  if (
    isMarginal(loss) &&
    config.train.schedule.some(({ phase }) => phase === "joint") &&
    penaltiesOf(check).some(({ weight }) => weight > 0)
  )
    warn(
      "train.reader.loss",
      `is ${loss}, which trains the generator of a joint phase by itself: the penalties have no part in that phase`,
    );
}

function penaltiesOf({ config }: Check): readonly { readonly weight: number }[] {
  const { ngram_repeat: ngram, keyword, short_answer: short, unlikelihood, sequence_unlikelihood: own } = config.train.penalties;
  return [ngram, keyword, short, unlikelihood, own];
}

/** A penalty with a weight that no entry of the schedule trains with: all of them copy, train the retriever, or set it to 0. */
function checkUsed({ config, warn }: Check): void {
  const used = config.train.schedule.flatMap((_, index) =>
    takesPenalties(config, index) ? [soundConfigOfEntry(config, index).train.penalties] : [],
  );
  for (const name of ["ngram_repeat", "keyword", "short_answer", "unlikelihood", "sequence_unlikelihood"] as const)
    if (config.train.penalties[name].weight > 0 && used.every((own) => own[name].weight === 0))
      warn(`train.penalties.${name}.weight`, "has no effect: no phase of the schedule is trained with this penalty");
}

function checkCounts({ config, refuse, warn }: Check): void {
  const { ngram_repeat: ngram, keyword, short_answer: short, sequence_unlikelihood: own } = config.train.penalties;
  if (keyword.weight > 0 && keyword.direction === null) {
    refuse(
      "train.penalties.keyword.direction",
      "isn't given, but the penalty has a weight",
      "choose coverage (punish missing keywords) or overlap (punish copied ones)",
    );
  }
  const longest = config.eval.max_new_tokens;
  if (short.weight > 0 && short.min_tokens > longest) {
    refuse(
      "train.penalties.short_answer.min_tokens",
      `is ${short.min_tokens}, more than eval.max_new_tokens (${longest}) lets an answer have`,
      "lower it",
    );
  }
  if (short.weight > 0 && short.min_tokens > 1) {
    warn(
      "train.penalties.short_answer.min_tokens",
      `asks for ${short.min_tokens} tokens; for shorter gold answers their own length counts`,
    );
  }
  const { mode, sampling } = config.train.penalties;
  const drawn = sampling.max_new_tokens ?? longest;
  if (short.weight > 0 && mode !== "teacher_forced" && short.min_tokens > drawn)
    refuse(
      "train.penalties.short_answer.min_tokens",
      `is ${short.min_tokens}, more than train.penalties.sampling.max_new_tokens (${drawn}) lets a drawn answer have`,
      "lower it, or raise the other",
    );
  for (const [key, { n, weight }, most] of [
    ["ngram_repeat", ngram, mode === "teacher_forced" ? longest : drawn],
    ["sequence_unlikelihood", own, drawn],
  ] as const)
    if (weight > 0 && n >= most) warn(`train.penalties.${key}.n`, `is ${n}: no answer is long enough to repeat such an n-gram`);
}

function checkMode({ config, refuse, warn }: Check): void {
  const { mode, sampling, ngram_repeat, keyword, short_answer, unlikelihood, sequence_unlikelihood: own } = config.train.penalties;
  const active = Object.entries({ ngram_repeat, keyword, short_answer, unlikelihood }).filter(([, { weight }]) => weight > 0);
  const draws = mode !== "teacher_forced" && active.length > 0;
  if (mode !== "teacher_forced" && active.length === 0)
    warn("train.penalties.mode", `is ${mode}, but no penalty that has modes has a weight`);
  if (mode === "sequence" && draws && sampling.answers < 2)
    refuse(
      "train.penalties.sampling.answers",
      "is 1: mode sequence compares an answer's cost with that of the others to the same question",
      "set it to at least 2, or train.penalties.mode=straight_through",
    );
  for (const [name, { temperature }] of draws ? active : []) {
    if (mode === "sequence" && temperature !== 1)
      warn(
        `train.penalties.${name}.temperature`,
        "has no effect in mode sequence: the gradient is that of what is drawn (sampling.temperature)",
      );
    if (mode === "straight_through" && temperature !== sampling.temperature)
      warn(
        `train.penalties.${name}.temperature`,
        `is ${temperature}, answers are drawn at ${sampling.temperature}: a further bias of the straight-through gradient`,
      );
  }
  const isSampled = draws || (own.weight > 0 && own.decoding === "sampled");
  const isWritten = draws || own.weight > 0;
  const defaults = schema.train.penalties.sampling;
  for (const key of ["answers", "temperature", "max_new_tokens"] as const)
    if (sampling[key] !== defaults[key].default && !(key === "max_new_tokens" ? isWritten : isSampled))
      warn(`train.penalties.sampling.${key}`, "has no effect: no penalty looks at drawn answers");
}
