/**
 * Finds a key that stands twice in one JSON object: `JSON.parse` silently keeps the last one, so a file could show one thing to a checker and
 * another to a loader. It isn't a parser: the text must have passed `JSON.parse` before.
 * The trap: a regular expression over strings of many megabytes overflows its stack, so the text is walked by hand.
 */

const quote = 0x22;
const backslash = 0x5c;
const colon = 0x3a;

/** The first key that its object holds twice, escapes resolved, or undefined. Time and memory grow with the text only. */
export function duplicateKey(json: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  for (let place = 0; place < json.length; place++) {
    switch (json.charAt(place)) {
      case "{":
        open.push(new Set());
        break;
      case "[":
        open.push(undefined);
        break;
      case "}":
      case "]":
        open.pop();
        break;
      case '"': {
        const end = stringEnd(json, place);
        const keys = open[open.length - 1];
        if (keys !== undefined && colonFollows(json, end)) {
          const key = JSON.parse(json.slice(place, end)) as string;
          if (keys.has(key)) return key;
          keys.add(key);
        }
        place = end - 1;
        break;
      }
    }
  }
  return undefined;
}

/** The place behind the closing quote of the string that begins at `start`. */
function stringEnd(json: string, start: number): number {
  for (let place = start + 1; place < json.length; place++) {
    const code = json.charCodeAt(place);
    if (code === backslash) place++;
    else if (code === quote) return place + 1;
  }
  return json.length;
}

function colonFollows(json: string, start: number): boolean {
  let place = start;
  while (place < json.length && json.charCodeAt(place) <= 0x20) place++;
  return json.charCodeAt(place) === colon;
}
