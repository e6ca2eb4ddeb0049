/**
 * Where the words of `tandem launch` end and those of the command that it starts begin: its own options stand before the command's name, all behind it belongs to that command. It starts nothing. The trap: the value of an option
 * stands before the name too, so the options that take one are known here.
 */

/** Commands that several processes do together. */
export const LAUNCHED = ["train", "index", "eval", "mine"] as const;

/** The word of `tandem launch` itself. */
export const LAUNCH = "launch";

/** Options whose value is the next word. */
const WITH_VALUE = ["--workers"];

/** The place of the command's name among the words after `tandem`; −1 where none stands there yet, or `launch` doesn't. */
export function verbPlace(words: readonly string[]): number {
  if (words[0] !== LAUNCH) return -1;
  for (let at = 1; at < words.length; at++) {
    const word = words[at] ?? "";
    if (WITH_VALUE.includes(word)) at++;
    else if (!word.startsWith("-")) return at;
  }
  return -1;
}

/** The words as they are parsed: what belongs to the started command stands behind `--`. Who asks for that command's help wants its own, once. */
export function launchWords(words: readonly string[]): readonly string[] {
  const at = verbPlace(words);
  if (at < 0) return words;
  const [verb = "", ...rest] = words.slice(at);
  if ((LAUNCHED as readonly string[]).includes(verb) && rest.some((word) => word === "--help" || word === "-h")) return [verb, "--help"];
  return [...words.slice(0, at + 1), "--", ...rest];
}
