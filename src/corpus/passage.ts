/**
 * A passage: the piece of text that is embedded, found and shown. It is not an article (see article.ts) and not a row number: rows change with the
 * corpus, ids don't. The trap: `text` never holds the title. Whoever embeds or shows a passage goes through {@link passageText}, so that the
 * encoder, the prompt and the maximum length at chunking all see the same words.
 */
import { UserError } from "../errors.js";
import { hashBytes } from "../storage/content-hash.js";

export interface Passage {
  /** Content hash, 32 hex digits: the same on every machine, for any order and any number of threads. */
  id: string;
  title: string;
  text: string;
  /** The article it comes from. Splits are made by document, so that nothing leaks. */
  document: string;
  /**
   * Where it stands in its article's text as the reader gave it: `article.text.slice(start, end)` is `text`. UTF-16 units. Absent in stores of
   * format version 1. Passages may overlap. Of exact duplicates it is the place of the first.
   */
  start?: number;
  end?: number;
}

/** How title and text are joined unless the config says otherwise. */
export const DEFAULT_TITLE_TEMPLATE = "{title}. {text}";

/**
 * What is embedded and shown: the template with `{title}` and `{text}` filled in once. A passage without a title is its text alone, because
 * "`. Text`" would teach the encoder a full stop.
 */
export function passageText(passage: Pick<Passage, "title" | "text">, template: string = DEFAULT_TITLE_TEMPLATE): string {
  if (passage.title === "") return passage.text;
  return template.replace(/\{(title|text)\}/g, (_, name: string) => (name === "title" ? passage.title : passage.text));
}

/** Refuses a template without `{text}` or with an unknown place; `where` is the config key or the argument that held it. */
export function checkTitleTemplate(template: string, where: string): void {
  const places = [...template.matchAll(/\{([^{}]*)\}/g)].map((match) => match[1]);
  const unknown = places.find((place) => place !== "title" && place !== "text");
  if (unknown !== undefined || places.filter((place) => place === "text").length !== 1) {
    throw new UserError({
      where,
      what: "the title template is wrong",
      expected: "{text} once, and {title} if wanted",
      got: JSON.stringify(template),
      remedy: `write for example ${JSON.stringify(DEFAULT_TITLE_TEMPLATE)}`,
    });
  }
}

/** sha256 of title, text and document, the first 32 hex digits. JSON keeps the three apart: ("a", "bc") and ("ab", "c") differ. */
export function passageId(passage: Omit<Passage, "id">): string {
  return hashBytes(JSON.stringify([passage.title, passage.text, passage.document])).slice(0, 32);
}

/** The key of exact de-duplication: title and text, which is all that a retriever sees. 32 hex digits. */
export function passageContentKey(passage: Pick<Passage, "title" | "text">): string {
  return hashBytes(JSON.stringify([passage.title, passage.text])).slice(0, 32);
}
