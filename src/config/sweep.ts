/**
 * A sweep: words of which some have several values become one list of words for each run, the product of all, the first key slowest, as Hydra's basic sweeper makes them. It composes nothing: each list is
 * then loaded like any other. The trap: a key that is given twice counts once, with its last values at its first place, so the words' order isn't always the order of the keys.
 */
import { UserError } from "../errors.js";
import { isGroup, optionsOf, searchPath } from "./search-path.js";
import { renderValue, sweepValues } from "./sweep-value.js";

export interface SweepPlan {
  /** The words of each run. */
  readonly runs: readonly (readonly string[])[];
  /** The keys that differ between runs, as they were written. */
  readonly keys: readonly string[];
  /** Where less is swept than the words say. */
  readonly warnings: readonly string[];
}

/** More runs than anyone starts on purpose, one after another. */
const MOST_RUNS = 10_000;

/**
 * @param words `key=value`, `group=a,b`, `+key=range(3)` …
 * @param configDir the user's folder of groups, for `glob`
 * @throws UserError for a word that breaks the grammar, and for a product of too many runs
 */
export function planSweep(words: readonly string[], configDir?: string): SweepPlan {
  const folders = searchPath(configDir);
  const byKey = new Map<string, readonly string[]>();
  const warnings: string[] = [];
  words.forEach((word, index) => {
    const source = `override ${index + 1} '${word}'`;
    const equals = word.indexOf("=");
    const key = equals < 0 ? word : word.slice(0, equals);
    const group = key.replace(/^\++/, "").replace(/@.*$/, "");
    const options = (): readonly string[] => (isGroup(folders, group) ? optionsOf(folders, group) : []);
    const values = equals < 0 ? undefined : sweepValues(word.slice(equals + 1), source, options);
    if (values !== undefined && key.startsWith("~"))
      throw new UserError({ where: source, what: "a sweep over what is taken out", expected: "~key or key=a,b" });
    if ((byKey.get(key)?.length ?? 0) > 1)
      warnings.push(`${source} replaces the ${byKey.get(key)?.length ?? 0} values that '${key}' has before it`);
    byKey.set(key, values?.map((value) => `${key}=${renderValue(value)}`) ?? [word]);
  });
  const count = [...byKey.values()].reduce((product, values) => product * values.length, 1);
  if (count > MOST_RUNS)
    throw new UserError({
      where: "--multirun",
      what: `asks for ${count} runs`,
      expected: `at most ${MOST_RUNS}`,
      remedy: "give fewer values",
    });
  const runs = [...byKey.values()].reduce<string[][]>(
    (lists, values) => lists.flatMap((list) => values.map((value) => [...list, value])),
    [[]],
  );
  const keys = [...byKey].filter(([, values]) => values.length > 1).map(([key]) => key);
  if (keys.length === 0) warnings.push("--multirun: no key has several values; it makes one run");
  return { runs, keys, warnings };
}
