/**
 * Which keys may still be set once a run is trained. A key that training has settled (a learning rate, the corpus) would be taken without a word and change nothing, so it is refused. The trap: what
 * counts is who set the key, not whether its value differs.
 */
import { UserError } from "../../errors.js";

/**
 * Refuses overrides of keys outside `open`.
 *
 * @param sources who set each key, as loadConfig says
 * @param open keys or sections that may be set
 * @throws UserError naming the first other key
 */
export function refuseSettledKeys(sources: Readonly<Record<string, string>>, open: readonly string[]): void {
  const settled = Object.entries(sources).find(
    ([key, source]) => source.startsWith("override ") && !open.some((name) => key === name || key.startsWith(`${name}.`)),
  );
  if (settled === undefined) return;
  const [key, source] = settled;
  throw new UserError({
    where: source,
    what: `'${key}' is settled once a run is trained`,
    expected: `keys of ${open.join(", ")}`,
    remedy: "take it out, or train another run with it",
  });
}
