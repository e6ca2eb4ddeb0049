/**
 * The model writes answers to a batch's questions: some that are drawn, and the greedy one. One decode with a KV cache for the whole batch, no graph, no dropout. It judges nothing.
 * A draw is a function of seed, step, example, number of the answer and position alone, so an answer doesn't depend on what else is in the batch, nor on how the batch is cut into parts. The trap: it does depend on the weights,
 * so answers belong to a step and never to a batch that was made before.
 *
 * B rows, V vocabulary.
 */
import { toInt32Array, type Tensor } from "../../engine/tensor.js";
import type { DecodedModel } from "../../generation/decoding-batch.js";
import { drawTokens } from "../../generation/sampling.js";
import { decodeTokenByToken } from "../../generation/token-by-token.js";
import { uniform } from "../counter-random.js";
import type { DrawingOptions } from "./penalty-options.js";

export interface DrawingParts extends DrawingOptions {
  readonly model: DecodedModel;
  readonly eosId: number;
  readonly seed: number;
  /** Whether the greedy answer is wanted too. */
  readonly greedy: boolean;
}

/** A question that ends with the answer cue. */
export interface AskedPrompt {
  /** Its number in the data; the key of its draws. */
  readonly example: number;
  readonly ids: Int32Array;
}

/** What the model wrote to a prompt: tokens with the EOS that ended them, or without one where they were cut. */
export interface DrawnAnswers {
  readonly drawn: readonly Int32Array[];
  readonly greedy: Int32Array | undefined;
}

/**
 * Answers to each prompt, in order; each token is drawn from softmax(z/τ), the greedy one is argmax z. At most `maxNewTokens` tokens, and no more than the model has positions left.
 *
 * @param step of its kind of phase
 */
export function drawAnswers(parts: DrawingParts, prompts: readonly AskedPrompt[], step: number): DrawnAnswers[] {
  const byRoom = new Map<number, number[]>();
  for (const [place, { ids }] of prompts.entries()) {
    // Counted for each prompt alone: what the longest of the batch leaves would make answers depend on their neighbours.
    const room = Math.min(parts.maxNewTokens, parts.model.config.nPositions - ids.length);
    const own = byRoom.get(room);
    if (own === undefined) byRoom.set(room, [place]);
    else own.push(place);
  }
  const answers: DrawnAnswers[] = [];
  for (const [room, places] of byRoom) {
    const chosen = places.flatMap((place) => prompts[place] ?? []);
    drawGroup(parts, chosen, room, step).forEach((own, i) => (answers[places[i] ?? 0] = own));
  }
  return answers;
}

/** Prompts whose answers may have equally many tokens. */
function drawGroup(parts: DrawingParts, prompts: readonly AskedPrompt[], maxNewTokens: number, step: number): DrawnAnswers[] {
  const { model, eosId, answers, greedy } = parts;
  const rows = answers + (greedy ? 1 : 0);
  if (rows === 0 || maxNewTokens < 1) return prompts.map(() => ({ drawn: [], greedy: undefined }));
  const decoded = decodeTokenByToken(
    model,
    prompts.map(({ ids }) => ids),
    rows,
    { maxNewTokens, eosId },
    (logits_BV, places) => {
      const keyed = places.map(({ prompt, answer, position }) => ({ example: prompts[prompt]?.example ?? 0, answer, position }));
      return chooseTokens(parts, logits_BV, keyed, step);
    },
  );
  return decoded.map((own) => {
    const whole = own.map((tokens) => (tokens.length < maxNewTokens ? Int32Array.from([...tokens, eosId]) : Int32Array.from(tokens)));
    return { drawn: whole.slice(0, answers), greedy: greedy ? whole[answers] : undefined };
  });
}

interface Draw {
  readonly example: number;
  readonly answer: number;
  readonly position: number;
}

function chooseTokens({ answers, temperature, seed }: DrawingParts, logits_BV: Tensor, rows: readonly Draw[], step: number): Int32Array {
  const best = rows.some(({ answer }) => answer >= answers) ? toInt32Array(logits_BV.argmax(1)) : undefined;
  if (rows.every(({ answer }) => answer >= answers)) return best ?? new Int32Array();
  const draws = rows.map(({ example, answer, position }) => uniform(seed, step, example, answer, position, 0x647277));
  const drawn = drawTokens(temperature === 1 ? logits_BV : logits_BV.div(temperature), draws);
  return drawn.map((token, row) => ((rows[row]?.answer ?? 0) >= answers ? (best?.[row] ?? token) : token));
}
