/**
 * Gives the names of one group of texts (an article, its questions and answers) new ones, the same everywhere in the group, at batch time. A small
 * generator that sees each name once can only copy it; one that sees it every epoch learns it by heart. It is augmentation for training: validation and test
 * are never renamed. Where names stand is said by spans, what they become by a name maker (invented-names.ts). The trap: spans
 * are UTF-16 positions in exactly the text that is renamed; a trimmed or joined text needs other spans.
 */
import type { EntitySpan } from "./question.js";
import { seededRandom } from "./seeded-random.js";
import type { Random } from "./seeded-random.js";

/** A text and its names: sorted, apart, inside (question-line.ts's `checkSpans` has seen to that). */
export interface MarkedText {
  readonly text: string;
  readonly spans: readonly EntitySpan[];
}

/** Texts that must agree on their names. */
export interface EntityGroup {
  /** Names the group in the seed: the document, say. */
  readonly id: string;
  readonly texts: readonly MarkedText[];
}

/** Makes the names of one group: gets its random numbers and what it must never draw, returns a function of kind and original. */
export type NameMaker = (random: Random, forbidden: ReadonlySet<string>) => (kind: string, original: string) => string;

export interface RenameDraw {
  readonly seed: number;
  /** The training step: each step draws other names. */
  readonly step: number;
  /** Names of validation and test. The group's own names are forbidden besides, so that no name stays by chance. */
  readonly forbidden: ReadonlySet<string>;
}

/** The group's texts with their names replaced and the spans moved along, and what became what. */
export interface RenamedGroup {
  texts: MarkedText[];
  names: Map<string, string>;
}

const ATTEMPTS = 1000;

/**
 * A pure function of group, seed and step. One original of one kind becomes one name; two originals never become the same one. Names are drawn in
 * the order of first mention. Text outside the spans stays as it is.
 * @throws Error if the maker finds no name that is free, or a span lies outside its text.
 */
export function renameEntities(group: EntityGroup, nameMaker: NameMaker, draw: RenameDraw): RenamedGroup {
  const random = seededRandom(`rename/${draw.seed}/${draw.step}/${group.id}`);
  const originals = new Set(group.texts.flatMap(({ text, spans }) => spans.map(({ start, end }) => text.slice(start, end))));
  const taken = new Set([...draw.forbidden, ...originals]);
  const make = nameMaker(random, taken);
  const byOriginal = new Map<string, string>();
  const names = new Map<string, string>();
  const nameOf = (kind: string, original: string): string => {
    const key = JSON.stringify([kind, original]);
    let name = byOriginal.get(key);
    if (name === undefined) {
      name = freeName(() => make(kind, original), taken, `${kind} ${JSON.stringify(original)} of group ${group.id}`);
      taken.add(name);
      byOriginal.set(key, name);
      names.set(original, name);
    }
    return name;
  };
  return { texts: group.texts.map((marked) => rename(marked, nameOf)), names };
}

function freeName(make: () => string, taken: ReadonlySet<string>, what: string): string {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const name = make();
    if (name !== "" && !taken.has(name)) return name;
  }
  throw new Error(`no free name for ${what} in ${ATTEMPTS} attempts; ${taken.size} are taken`);
}

function rename({ text, spans }: MarkedText, nameOf: (kind: string, original: string) => string): MarkedText {
  let renamed = "";
  let end = 0;
  const moved = spans.map((span) => {
    if (span.start < end || span.end <= span.start || span.end > text.length) {
      throw new Error(`span ${span.start}–${span.end} doesn't fit a text of ${text.length} UTF-16 units`);
    }
    renamed += text.slice(end, span.start);
    const start = renamed.length;
    renamed += nameOf(span.kind, text.slice(span.start, span.end));
    end = span.end;
    return { ...span, start, end: renamed.length };
  });
  return { text: renamed + text.slice(end), spans: moved };
}
