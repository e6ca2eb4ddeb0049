/**
 * The questions and passages that an index's drift is measured on: a pure function of the seed and what the index found, the same for as long as that index is read. It embeds and searches nothing. The trap: both searches
 * see the pool alone, so a passage that the present encoder would bring up from outside is missed: the overlap is overestimated, the more so the smaller the share of the corpus in the pool.
 */
import { permutation, shuffled } from "./counter-random.js";

export interface DriftProbeOptions {
  readonly seed: number;
  /** Training questions that there are, and that are taken. */
  readonly questions: number;
  readonly wanted: number;
  /** What the index found for a training question, best first; −1 is none. */
  readonly rowsOf: (question: number) => ArrayLike<number>;
  /** Passages of the pool: at most half of them found, the others drawn. */
  readonly passages: number;
  /** Passages of the corpus, and which of them training may see. */
  readonly size: number;
  readonly isAllowed: (row: number) => boolean;
}

export interface DriftProbe {
  /** Numbers of training questions, ascending. */
  readonly questions: readonly number[];
  /** Rows of the corpus, ascending, so that equal scores fall as in a search of the whole. */
  readonly pool: readonly number[];
}

const QUESTIONS = 0x6470_7175;
const PASSAGES = 0x6470_7061;

/** Draws the questions; takes what was found for them rank by rank, all first ranks before the second ones; fills up with rows drawn from the corpus. */
export function drawDriftProbe(options: DriftProbeOptions): DriftProbe {
  const { seed, questions: count, wanted, passages } = options;
  const all = Array.from({ length: count }, (_, question) => question);
  const questions = shuffled(all, [seed, QUESTIONS])
    .slice(0, wanted)
    .sort((a, b) => a - b);
  const pool = new Set(foundRows(options, questions, Math.ceil(passages / 2)));
  if (options.size > 0) {
    const at = permutation(options.size, [seed, PASSAGES]);
    for (let place = 0; place < options.size && pool.size < passages; place++) if (options.isAllowed(at(place))) pool.add(at(place));
  }
  return { questions, pool: [...pool].sort((a, b) => a - b) };
}

function foundRows({ rowsOf }: DriftProbeOptions, questions: readonly number[], most: number): Set<number> {
  const found = questions.map((question) => Array.from(rowsOf(question)).filter((row) => row >= 0));
  const deepest = found.reduce((depth, rows) => Math.max(depth, rows.length), 0);
  const taken = new Set<number>();
  for (let rank = 0; rank < deepest; rank++) {
    for (const rows of found) {
      const row = rows[rank];
      if (row === undefined) continue;
      if (taken.size >= most) return taken;
      taken.add(row);
    }
  }
  return taken;
}
