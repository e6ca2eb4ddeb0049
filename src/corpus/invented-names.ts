/**
 * The grammar of the quickstart's invented names, and names made by it: `Kal` + `dom` = "Kaldom". Used by the maker of the data
 * (tools/make-quickstart.ts) and by the renaming of training batches. It knows words, not spans: where a name stands is rename-entities.ts's
 * business. The trap: prefixes and suffixes are disjoint lists of 120, built so that a byte-level BPE learns each syllable as one token before any pair across
 * the seam. A name is then two tokens, and copying it needs no spelling. Changing a list changes the data: make it again.
 */
import type { Random } from "./seeded-random.js";
import { pick, randomInteger } from "./seeded-random.js";

const words = (text: string): readonly string[] => text.split(" ");

/** First syllables: consonant, vowel, one of `l r n m v s`. */
export const PREFIXES = words(
  "Ban Bas Bem Bes Bim Bon Bov Buv Dal Der Dis Div Dom Dul Duv Fav Fer Fim Fiv Fom Fos Fus Gam Gan Gen Gil Gis Gol Gov Gul Han Har Hes Hil Hir Hol Hun " +
    "Jav Jel Jev Jin Jor Jov Jum Jus Kal Kas Kem Kiv Kor Kos Kuv Lal Las Lel Lis Lom Lor Lul Lur Mav Mem Mer Mil Mon Mur Muv Nam Nar Nem Nen Nim Nir Nol " +
    "Nur Pav Pev Pim Pir Pom Por Pum Pun Rar Rel Ren Rin Rov Rul Rus San Sar Ses Sev Sis Sos Sus Tam Ter Tes Tir Ton Tum Tun Vas Ven Vev Vin Viv Vos Vum " +
    "Vun Zal Zam Zel Zil Zin Zol Zon Zur",
);

/** Last syllables: one of `b d f g h p w z`, vowel, consonant. */
export const SUFFIXES = words(
  "bak bam bax bek ber bik bim bir bon bor bot box buk bur bux dal dar dat dek det dil dit dix dol dom dox dul dun dux fam fax fel fen fet fid " +
    "fik fim fod fol fot fum fut gad gan gat ged gel gik gil gim gix gok gol gor gud gul gur hak han har hem het hex hik hin hix hod hom hon hud huk " +
    "hur pam pat ped pel pem pex pid pil pim pok pon pox pum pux wam wat wax wek wem wer wid wir wod wom wot wox wuk wun wut zad zal zan zar zat zed zer " +
    "zex zin zir zix zok zol zor zul zum zun zut dak",
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
 * two persons a first name, no two years a decade or a last digit, no number comes twice, as long as the lists last (120 names; then syllables may come again,
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
