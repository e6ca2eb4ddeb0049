/**
 * Where a text stops being JSON. `JSON.parse` says so only for some mistakes, and in a file of thousands of lines the place is what one needs.
 * It isn't a parser: it is asked after `JSON.parse` has refused the text, so its speed doesn't matter.
 */

const space = /[ \t\r\n]*/y;
const token =
  /[{}[\],:]|"[^"\\\p{Cc}]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\p{Cc}]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/uy;

/** What may come next: a value, the first value or key after a bracket (or the bracket's end), a key, a colon, or what follows a value. */
type Expected = "value" | "first value" | "first key" | "key" | "colon" | "more";

/** The offset of the first token that doesn't belong; the text's length when it ends too early. */
export function jsonFailureOffset(text: string): number {
  const open: ("{" | "[")[] = [];
  let expected: Expected = "value";
  for (let offset = 0; ;) {
    space.lastIndex = offset;
    offset += space.exec(text)?.[0].length ?? 0;
    token.lastIndex = offset;
    const found: string | undefined = token.exec(text)?.[0];
    const next: Expected | undefined = found === undefined ? undefined : follow(found, expected, open);
    if (found === undefined || next === undefined) return offset;
    expected = next;
    offset += found.length;
  }
}

/** What is expected behind the token, undefined when the token itself is not. Keeps the open brackets. */
function follow(found: string, expected: Expected, open: ("{" | "[")[]): Expected | undefined {
  const inside = open[open.length - 1];
  const mayClose = expected === "more" || expected.startsWith("first");
  if (found === "}" || found === "]") {
    if (!mayClose || inside !== (found === "}" ? "{" : "[")) return undefined;
    open.pop();
    return "more";
  }
  if (found === ",") return expected !== "more" || inside === undefined ? undefined : inside === "{" ? "key" : "value";
  if (found === ":") return expected === "colon" ? "value" : undefined;
  if (expected === "key" || expected === "first key") return found.startsWith('"') ? "colon" : undefined;
  if (expected !== "value" && expected !== "first value") return undefined;
  if (found !== "{" && found !== "[") return "more";
  open.push(found);
  return found === "{" ? "first key" : "first value";
}
