/** How long a passage takes to be embedded, on passages from all over the corpus. It writes nothing. The trap: rows of like length share a batch, so few texts are padded more than the 512 of a real block. */
import { passageText } from "../../corpus/passage.js";
import { scope } from "../../engine/scope.js";
import { PASSAGES_AT_ONCE } from "../../retrieval/embed-passages.js";
import type { OpenRun } from "../run/open-run.js";
import { ownSeconds } from "./own-clock.js";

/** Texts that warm the caches up. */
const WARMING = 8;

/**
 * Seconds a passage: blocks are embedded until the time is over, at least one.
 *
 * @param texts of a block; default: as many as an index's build embeds at once
 */
export function embeddingSeconds(
  { store, encoder, config }: Pick<OpenRun, "store" | "encoder" | "config">,
  { texts = PASSAGES_AT_ONCE, seconds }: { readonly texts?: number; readonly seconds: number },
): number {
  const count = Math.min(texts, store.size);
  const block = (shift: number): string[] =>
    Array.from({ length: count }, (_, i) => {
      const row = (Math.floor((i * store.size) / count) + shift) % store.size;
      return passageText(store.get(row), config.data.corpus.title_template);
    });
  const embed = (passages: readonly string[]): void => scope(() => void encoder.embedPassages(passages));
  embed(block(0).slice(0, WARMING));
  const [began, own] = [performance.now(), ownSeconds()];
  let blocks = 0;
  do embed(block(blocks++));
  while (performance.now() - began < 1000 * seconds);
  return (ownSeconds() - own) / (blocks * count);
}
