/**
 * Stop strings: texts that end an answer. An answer is cut right before the first one, and nothing before it is lost; a stop string may lie across any tokens' borders. Only what is new is looked
 * at: a stop string in the prompt ends nothing, not even one that the prompt begins and the answer goes on. (transformers' `stop_strings` looks at the prompt's end too, and keeps the stop string.)
 * The trap: a token can hold the stop string and text behind it; the text behind is cut with it.
 */
import type { Tokenizer } from "../text/tokenizer.js";

/** Whether the new tokens hold a stop string; undefined when there is none to look for. */
export function endsAtStop(tokenizer: Tokenizer, stops: readonly string[]): ((newTokens: readonly number[]) => boolean) | undefined {
  if (stops.length === 0) return undefined;
  return (newTokens) => firstStop(tokenizer.decode(newTokens), stops) >= 0;
}

/** The text before the first stop string; the whole text when it holds none. */
export function cutAtStop(text: string, stops: readonly string[]): string {
  const place = firstStop(text, stops);
  return place < 0 ? text : text.slice(0, place);
}

/** Where the earliest of them begins, −1 when there is none. */
function firstStop(text: string, stops: readonly string[]): number {
  const places = stops.map((stop) => text.indexOf(stop)).filter((place) => place >= 0);
  return places.length === 0 ? -1 : Math.min(...places);
}
