/**
 * Shell patterns over names, as Python's fnmatch reads them: `*`, `?`, `[abc]`, `[a-z]`, `[!abc]`; they match the whole name, capitals count. It looks at no files. The trap: a bracket that isn't closed is a
 * bracket, `]` right behind `[` or `[!` is one of the characters, and a range the wrong way round holds nothing.
 * Source: CPython's Lib/fnmatch.py, `translate`.
 */

const PART = /\*+|\?|\[(!?)(\]?[^\]]*)\]|[^]/gu;

/** Whether the pattern matches the whole name. */
export function matchesPattern(name: string, pattern: string): boolean {
  const source = pattern.replaceAll(PART, (part: string, not: string | undefined, members: string | undefined) => {
    if (part.startsWith("*")) return ".*";
    if (part === "?") return ".";
    return members === undefined ? characters(part) : oneOf(members, not === "!");
  });
  return new RegExp(`^${source}$`, "su").test(name);
}

/** One character among `a`, `x-z` …, or among all others. */
function oneOf(members: string, isNegated: boolean): string {
  const inside = [...members.matchAll(/([^])-([^])|[^]/gu)]
    .map(([single, first, last]) => {
      if (first === undefined || last === undefined) return characters(single);
      return first <= last ? `${characters(first)}-${characters(last)}` : "";
    })
    .join("");
  if (inside === "") return isNegated ? "." : "(?!)";
  return `[${isNegated ? "^" : ""}${inside}]`;
}

/** Characters as they are, safe in a regular expression. */
function characters(text: string): string {
  return Array.from(text, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`).join("");
}
