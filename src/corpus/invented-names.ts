/**
 * The grammar of the quickstart's invented names, and names made by it: `Kal` + `dom` = "Kaldom"; persons are pairs from closed lists. Used by the maker of the data
 * (tools/make-quickstart.ts) and by the renaming of training batches. It knows words, not spans: where a name stands is rename-entities.ts's
 * business. The trap: prefixes and suffixes are disjoint lists of 60, built so that a byte-level BPE learns each syllable as one token before any pair across
 * the seam. A name is then two tokens, and copying it needs no spelling. Changing a list changes the data: make it again.
 */
import type { Random } from "./seeded-random.js";
import { pick, randomInteger } from "./seeded-random.js";

const words = (text: string): readonly string[] => text.split(" ");

/** First syllables: consonant, vowel, one of `l r n m v s`. */
export const PREFIXES = words(
  "Ban Bem Bim Bov Dal Dis Dom Duv Fer Fiv Fos Gam Gen Gis Gov Han Hes Hir Hun Jel Jin Jov Jus Kal Kiv Kos Lal Lel Lom Lul " +
    "Mav Mil Mon Muv Nar Nen Nir Nur Pev Pir Por Pun Rel Rin Rul San Ses Sis Sus Ter Tir Tum Vas Vev Viv Vum Zal Zel Zin Zon",
);

/** Last syllables: one of `b d f g h p w z`, vowel, consonant. */
export const SUFFIXES = words(
  "bak bax ber bim bon bot buk bux dar dek dil dix dom dul dux fax fen fid fim fol fum gad gat gel gil gix gol gud gur han " +
    "hem hex hin hod hon huk pam ped pem pid pim pon pum wam wax wem wid wod wot wuk wut zal zar zed zex zin zok zor zum zut",
);

/** First names of persons: a closed list, the same in all splits. No name of the grammar, and no two begin with the same three letters. */
export const FIRST_NAMES = words(
  "Ada Anna Arno Bruno Carla Cyril Edgar Elena Emil Erik Flora Greta Hugo Ida Igor Ines Ivan Klaus Laura Leo Marta Nadia Nils Olga Otto Paula Petra Rosa " +
    "Sofia Theo Victor Wanda",
);

/** Family names of persons: a closed list too. What is new in validation and test is the pair of first name and family name. */
export const FAMILY_NAMES = words(
  "Archer Baker Barber Brewer Carter Cooper Draper Dyer Falconer Fisher Fletcher Forester Fuller Gardener Hunter Mason Miller Piper Porter Potter Sawyer " +
    "Shepherd Skinner Smith Spencer Tailor Tanner Turner Waller Weaver Wheeler Wright",
);

/** What an entity is, and so what may stand in its place. */
export const ENTITY_KINDS = ["name", "person", "year", "number"] as const;
export type EntityKind = (typeof ENTITY_KINDS)[number];

const prefixSet = new Set(PREFIXES);
const suffixSet = new Set(SUFFIXES);
const firstSet = new Set(FIRST_NAMES);
const familySet = new Set(FAMILY_NAMES);

/** Whether a word is a name of the grammar. No English word of the quickstart is one. */
export function isInventedName(word: string): boolean {
  return word.length === 6 && prefixSet.has(word.slice(0, 3)) && suffixSet.has(word.slice(3));
}

/** The names in a text, each once: invented words, and pairs of first and family name. They are what a renaming must not draw if the text is a validation or test article's. */
export function inventedNamesIn(text: string): string[] {
  const found = Array.from(text.matchAll(/\p{L}+/gu), ({ 0: word, index }) => ({ word, end: index + word.length, start: index }));
  const pairs = found.flatMap(({ word, end }, i) => {
    const next = found[i + 1];
    return next?.start === end + 1 && text[end] === " " && firstSet.has(word) && familySet.has(next.word) ? [`${word} ${next.word}`] : [];
  });
  return [...new Set([...found.map(({ word }) => word).filter(isInventedName), ...pairs])];
}

/**
 * Makes entities for one group of texts, for example an article or the passages of one context. Within a group no two names share a syllable, no
 * two persons a first or a family name, no year or number comes twice, as long as the lists last; then parts may come again, whole names not.
 * A pure function of the random numbers: same generator, same calls, same entities.
 *
 * @param forbidden names and persons never drawn: those of the validation and test articles, say.
 */
export function entityMaker(random: Random, forbidden: ReadonlySet<string> = new Set()): (kind: EntityKind) => string {
  const used = new Set<string>();
  /** Draws until no part was used, or, when that is hopeless, until the whole is new. */
  const apart = (joint: string, draw: () => readonly string[]): string => {
    for (let attempt = 0; attempt < 10_000; attempt++) {
      const parts = draw();
      const made = parts.join(joint);
      const clash = used.has(made) || forbidden.has(made) || (attempt < 1_000 && parts.some((part, place) => used.has(`${place}${part}`)));
      if (clash) continue;
      used.add(made);
      parts.forEach((part, place) => used.add(`${place}${part}`));
      return made;
    }
    throw new Error(`nothing new is left to draw: ${forbidden.size} names are forbidden, ${used.size} parts used`);
  };
  const make: Record<EntityKind, () => string> = {
    name: () => apart("", () => [pick(random, PREFIXES), pick(random, SUFFIXES)]),
    person: () => apart(" ", () => [pick(random, FIRST_NAMES), pick(random, FAMILY_NAMES)]),
    year: () => apart("", () => [String(1700 + 5 * randomInteger(random, 0, 39))]),
    number: () => apart("", () => [String(randomInteger(random, 10, 99))]),
  };
  return (kind) => make[kind]();
}
