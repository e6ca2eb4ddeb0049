/**
 * HTML from templates that escape: whatever stands in a `${…}` is text unless it was made here, so that no question, passage or config value can become an element. Not a template language: loops and
 * conditions are TypeScript's. The trap: text is escaped for content and for quoted attributes, nowhere else; never put data into a tag's name, an unquoted attribute, a style or a script.
 */

const MARKUP = Symbol("markup");

/** HTML that is whole and safe. Only {@link markup} and {@link trusted} make it, so that nothing read from a file can pass for it. */
export interface Markup {
  readonly [MARKUP]: string;
}

/** What a template may hold: text and numbers are escaped, lists are joined, undefined is nothing. */
export type MarkupValue = string | number | undefined | Markup | readonly MarkupValue[];

/** A template tag: markup`<td>${text}</td>`. */
export function markup(parts: TemplateStringsArray, ...values: readonly MarkupValue[]): Markup {
  return trusted(parts.map((part, i) => part + (i < values.length ? rendered(values[i]) : "")).join(""));
}

/** HTML that somebody else made and that holds no data unescaped, such as a plotting library's SVG. */
export function trusted(html: string): Markup {
  return { [MARKUP]: html };
}

/** The HTML itself, for the file. */
export function htmlOf(value: Markup): string {
  return value[MARKUP];
}

/** Text as HTML: markup characters as entities; control characters, which HTML can't hold, and halves of surrogate pairs, which UTF-8 can't, as U+FFFD. */
export function escapeHtml(text: string): string {
  return (
    text
      .replace(/\p{Cs}/gu, "\ufffd")
      // eslint-disable-next-line no-control-regex -- these are what HTML forbids
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\ufdd0-\ufdef\ufffe\uffff]/g, "\ufffd")
      .replace(/\r\n?/g, "\n")
      .replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character)
  );
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function rendered(value: MarkupValue): string {
  if (value === undefined) return "";
  if (typeof value === "string") return escapeHtml(value);
  if (typeof value === "number") return String(value);
  return MARKUP in value ? value[MARKUP] : value.map(rendered).join("");
}
