/**
 * Answers that the processes of a group decode together: each some of the batches, all of the same prompts in the same batches as one process would make of them, so that the answers are that process's. It builds no prompt and scores
 * nothing. The traps: the members' models must be the same to the bit, which whoever opened or trained them sees to; and a batch isn't cut, since padding changes last digits, so a group gains nothing where all questions fit into one.
 */
import type { LedGroup } from "../distributed/led-group.js";
import type { DecodeOrder, DecodeProgress, Generator } from "./generator.js";

/**
 * Teaches this member to decode its batches; all members of a group do so alike.
 *
 * @param name tells the group's generators apart
 * @returns the generator for the leader: in its turn all decode, at any other time it does so alone
 */
export function shareAnswers(led: LedGroup, name: string, generator: Generator): Generator {
  const { group } = led;
  const decodeTogether = led.learn(name, async (order: DecodeOrder, progress?: DecodeProgress): Promise<Int32Array[][]> => {
    const own = await generator.decodeHere(order, {
      isOwn: (batch) => batch % group.size === group.rank,
      // The others are about as far: a part that is called the whole would look like questions left out.
      progress: (done, total) => progress?.(Math.round((done / total) * order.prompts.length), order.prompts.length),
    });
    const decoded: Int32Array[][] = [];
    // The places that others decoded are empty here, and no entries.
    for (const part of group.gatherValues(name, Object.entries(own))) for (const [place, answers] of part) decoded[Number(place)] = answers;
    return decoded;
  });
  return generator.decodedBy((order, progress) =>
    led.isLed ? decodeTogether(order, progress) : generator.decodeHere(order, { progress }),
  );
}
