/**
 * Repeats in `train.schedule`: an entry `{repeat: 3, phases: […]}` stands for its phases three times. They are written out once, after overrides, which address the schedule as it was written
 * (`train.schedule.1.phases.0.steps=50`), and before the check; a run's own config.yaml has the phases one by one. The trap: repeats in repeats multiply, so the count is known before anything is made.
 */
import { UserError } from "../errors.js";
import { type ConfigNode, type MapNode, nodeAt, plainValue, withNodeAt } from "./tree.js";

/** More entries are a slip of the pen. */
const MOST_ENTRIES = 10_000;
const DEEPEST = 8;
const PLACE = ["train", "schedule"];

/** The tree with every repeat written out. @throws UserError for a repeat that can't be */
export function expandSchedule(tree: ConfigNode): ConfigNode {
  const schedule = nodeAt(tree, PLACE);
  if (schedule?.kind !== "list" || !schedule.items.some(isRepeat)) return tree;
  const items = expanded(schedule.items, "train.schedule", 0);
  return withNodeAt(tree, PLACE, { ...schedule, items }) ?? tree;
}

function isRepeat(node: ConfigNode): node is MapNode {
  return node.kind === "map" && (node.entries.has("repeat") || node.entries.has("phases"));
}

function expanded(items: readonly ConfigNode[], where: string, depth: number): ConfigNode[] {
  if (depth > DEEPEST) throw new UserError({ where, what: `repeats stand more than ${DEEPEST} deep in each other` });
  const all: ConfigNode[] = [];
  for (const [index, item] of items.entries()) {
    const place = `${where}.${index}`;
    if (!isRepeat(item)) all.push(item);
    else {
      const { times, phases } = repeatOf(item, place);
      const inner = expanded(phases, `${place}.phases`, depth + 1);
      requireFew(all.length + times * inner.length, item.source);
      for (let i = 0; i < times; i++) all.push(...inner);
    }
    requireFew(all.length, item.source);
  }
  return all;
}

function repeatOf(item: MapNode, place: string): { times: number; phases: readonly ConfigNode[] } {
  const other = [...item.entries.keys()].find((key) => key !== "repeat" && key !== "phases");
  if (other !== undefined)
    throw new UserError({
      where: item.entries.get(other)?.source ?? item.source,
      what: `'${place}.${other}' stands beside a repeat`,
      expected: "repeat and phases alone",
      remedy: "put it into the phases that are repeated",
    });
  const phases = item.entries.get("phases");
  if (phases?.kind !== "list" || phases.items.length === 0)
    throw new UserError({
      where: phases?.source ?? item.source,
      what: `'${place}.phases' has a wrong value`,
      expected: "the list of phases that is repeated",
      got: phases === undefined ? "nothing" : JSON.stringify(plainValue(phases)).slice(0, 80),
    });
  const repeat = item.entries.get("repeat");
  const times: unknown = repeat === undefined ? undefined : plainValue(repeat);
  if (typeof times !== "number" || !Number.isSafeInteger(times) || times < 1)
    throw new UserError({
      where: repeat?.source ?? item.source,
      what: `'${place}.repeat' has a wrong value`,
      expected: "a whole number ≥ 1",
      got: repeat === undefined ? "nothing" : typeof times === "number" ? String(times) : JSON.stringify(times).slice(0, 80),
    });
  return { times, phases: phases.items };
}

function requireFew(count: number, where: string): void {
  if (count <= MOST_ENTRIES) return;
  throw new UserError({
    where,
    what: "the schedule has too many phases when its repeats are written out",
    expected: `at most ${MOST_ENTRIES}`,
    got: String(count),
  });
}
