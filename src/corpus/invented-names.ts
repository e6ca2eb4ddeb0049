/**
 * The grammar of the quickstart's invented names, and names made by it: `Kal` + `dom` = "Kaldom". Used by the maker of the data
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
  "Ada Aldo Anna Arno Astrid Bruno Carla Clara Cyril Edgar Elena Emil Erik Esther Flora Franz Greta Gustav Hugo Ida Igor Ines Irma Ivan " +
    "Klaus Laura Leo Lucia Magda Marta Nadia Nils Olga Oscar Otto Paula Petra Rosa Silvia Stefan Sofia Theo Ursula Victor Walter Wanda Yara Yusuf",
);

/** What an entity is, and so what may stand in its place. */
export const ENTITY_KINDS = ["name", "person", "year", "number"] as const;
export type EntityKind = (typeof ENTITY_KINDS)[number];

const prefixSet = new Set(PREFIXES);
const suffixSet = new Set(SUFFIXES);

/** Whether a word is a name of the grammar. No English word of the quickstart is one. */
export function isInventedName(word: string): boolean {
  return word.length === 6 && prefixSet.has(word.slice(0, 3)) && suffixSet.has(word.slice(3));
}

/** The invented names in a text, each once, in order: what a renaming must not draw when the text is a validation or test article. */
export function inventedNamesIn(text: string): string[] {
  return [...new Set(text.match(/\p{L}+/gu)?.filter(isInventedName))];
}

/**
 * Makes entities for one group of texts, for example an article or the passages of one context. Within a group no two names share a syllable, no
 * two persons a first name, no two years a decade or a last digit, no number comes twice, as long as the lists last (60 names; then syllables may come again,
 * names not).
 * A pure function of the random numbers: same generator, same calls, same entities.
 *
 * @param forbidden names never drawn: those of the validation and test articles, say.
 */
export function entityMaker(random: Random, forbidden: ReadonlySet<string> = new Set()): (kind: EntityKind) => string {
  const used = new Set<string>();
  /** Draws until no part was used, or, when that is hopeless, until the whole is new. */
  const apart = (draw: () => readonly string[]): string => {
    for (let attempt = 0; attempt < 10_000; attempt++) {
      const parts = draw();
      const made = parts.join("");
      const clash = used.has(made) || forbidden.has(made) || (attempt < 1_000 && parts.some((part, place) => used.has(`${place}${part}`)));
      if (clash) continue;
      used.add(made);
      parts.forEach((part, place) => used.add(`${place}${part}`));
      return made;
    }
    throw new Error(`nothing new is left to draw: ${forbidden.size} names are forbidden, ${used.size} parts used`);
  };
  const name = (): string => apart(() => [pick(random, PREFIXES), pick(random, SUFFIXES)]);
  const make: Record<EntityKind, () => string> = {
    name,
    person: () => `${apart(() => [pick(random, FIRST_NAMES)])} ${name()}`,
    year: () => apart(() => [String(randomInteger(random, 170, 189)), String(randomInteger(random, 0, 9))]),
    number: () => apart(() => [String(randomInteger(random, 10, 99))]),
  };
  return (kind) => make[kind]();
}
