/**
 * BM25 over the passages' words: the report's lexical row, equal to Python's `bm25s` with its defaults (Lucene's formula, no stemmer), scores included.
 * Scores are worked out once, when the index is built (float32, a list of rows for each word); a question adds up the lists of its words.
 * It keeps no text and isn't an embedding index: see index-contract.ts for those.
 * The traps: a question's repeated word counts twice; words of one letter and stop words don't exist; rows without a word in common score 0
 * and still fill the k places. Equal scores stand in the order of their rows (`bm25s` leaves their order to chance).
 */
import { UserError } from "../errors.js";

export interface Bm25Options {
  /** How soon more mentions of a word stop adding; 0 or above. Default 1.5. */
  readonly k1?: number;
  /** How much a long passage is discounted: 0 (not) to 1 (in full). Default 0.75. */
  readonly b?: number;
}

/** The best rows of one question, best first; min(k, size) of them. */
export interface Bm25Hits {
  readonly scores: Float32Array;
  /** Rows, in the order in which the texts were given. */
  readonly ids: Int32Array;
}

/** The list of `bm25s` (stop words "english"), which is Lucene's. */
const STOP_WORDS: ReadonlySet<string> = new Set(
  "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to was will with".split(
    " ",
  ),
);

/** Python's `(?u)\b\w\w+\b`: two or more letters, digits or underscores; combining marks part words. */
const WORD = /[\p{L}\p{N}_]{2,}/gu;

/** The words of a text as BM25 counts them: lower-cased, without stop words. */
export function bm25Words(text: string): string[] {
  return (text.toLowerCase().match(WORD) ?? []).filter((word) => !STOP_WORDS.has(word));
}

/**
 * score(q, d) = Σ_{w in q} idf(w) · tf / (tf + k1 · (1 − b + b · |d| / avg|d|)), idf(w) = ln(1 + (N − df + 0.5) / (df + 0.5))
 * (Robertson & Zaragoza 2009; Lucene's accurate variant as in Kamphuis et al. 2020; reference: bm25s 0.3, method "lucene").
 */
export class Bm25 {
  readonly size: number;
  readonly #vocabulary: Map<string, number>;
  /** Word w's rows and their scores stand at starts[w] to starts[w + 1]. */
  readonly #starts: Int32Array;
  readonly #rows: Int32Array;
  readonly #scores: Float32Array;

  /**
   * @param texts what is searched: for passages, what the encoder sees too (title and text)
   * @throws UserError when k1 or b is out of range
   */
  constructor(texts: Iterable<string>, options: Bm25Options = {}) {
    const { k1 = 1.5, b = 0.75 } = options;
    if (!(k1 >= 0 && k1 < Infinity))
      throw new UserError({ where: "bm25 k1", what: "out of range", expected: "0 or above", got: String(k1) });
    if (!(b >= 0 && b <= 1)) throw new UserError({ where: "bm25 b", what: "out of range", expected: "0 to 1", got: String(b) });
    const counted = count(texts);
    this.size = counted.lengths.length;
    this.#vocabulary = counted.vocabulary;
    ({ starts: this.#starts, rows: this.#rows, scores: this.#scores } = scored(counted, k1, b));
  }

  /**
   * The k best rows for each question; all rows where there are fewer than k.
   * @throws UserError when k is no positive whole number
   */
  search(questions: readonly string[], k: number): Bm25Hits[] {
    if (!Number.isSafeInteger(k) || k < 1)
      throw new UserError({ where: "bm25", what: "bad k", expected: "a positive whole number", got: String(k) });
    const totals = new Float32Array(this.size);
    return questions.map((question) => {
      totals.fill(0);
      for (const word of bm25Words(question)) this.#add(totals, this.#vocabulary.get(word));
      return best(totals, Math.min(k, this.size));
    });
  }

  /** The scores of given rows for one question, whether they are among its best or not. */
  scoresOf(question: string, rows: readonly number[]): number[] {
    const totals = new Float32Array(this.size);
    for (const word of bm25Words(question)) this.#add(totals, this.#vocabulary.get(word));
    return rows.map((row) => totals[row] ?? NaN);
  }

  #add(totals: Float32Array, word: number | undefined): void {
    if (word === undefined) return;
    const end = this.#starts[word + 1] ?? 0;
    for (let i = this.#starts[word] ?? 0; i < end; i++) {
      const row = this.#rows[i] ?? 0;
      totals[row] = (totals[row] ?? 0) + (this.#scores[i] ?? 0);
    }
  }
}

/** Each (word, row) that occurs, with its count, in the order of rows. */
interface Counted {
  readonly vocabulary: Map<string, number>;
  /** Words in each text. */
  readonly lengths: number[];
  readonly words: Int32Array;
  readonly rows: Int32Array;
  readonly counts: Int32Array;
}

function count(texts: Iterable<string>): Counted {
  const vocabulary = new Map<string, number>();
  const lengths: number[] = [];
  let [words, rows, counts] = [new Int32Array(1024), new Int32Array(1024), new Int32Array(1024)];
  let used = 0;
  const inText = new Map<number, number>();
  for (const text of texts) {
    const found = bm25Words(text);
    inText.clear();
    for (const word of found) {
      let id = vocabulary.get(word);
      if (id === undefined) vocabulary.set(word, (id = vocabulary.size));
      inText.set(id, (inText.get(id) ?? 0) + 1);
    }
    while (used + inText.size > words.length) [words, rows, counts] = [doubled(words), doubled(rows), doubled(counts)];
    for (const [id, times] of inText) {
      words[used] = id;
      rows[used] = lengths.length;
      counts[used++] = times;
    }
    lengths.push(found.length);
  }
  return { vocabulary, lengths, words: words.subarray(0, used), rows: rows.subarray(0, used), counts: counts.subarray(0, used) };
}

function doubled(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(array.length * 2);
  larger.set(array);
  return larger;
}

/** Sorts the occurrences by word (a counting sort, so rows stay in order) and scores each. Rounds where bm25s rounds: idf and score to float32. */
function scored({ vocabulary, lengths, words, rows, counts }: Counted, k1: number, b: number) {
  const starts = new Int32Array(vocabulary.size + 1);
  for (const word of words) starts[word + 1] = (starts[word + 1] ?? 0) + 1;
  const total = lengths.length;
  const idf = Float32Array.from(starts.subarray(1), (holding) => Math.log(1 + (total - holding + 0.5) / (holding + 0.5)));
  for (let word = 0; word < vocabulary.size; word++) starts[word + 1] = (starts[word + 1] ?? 0) + (starts[word] ?? 0);
  const average = lengths.reduce((sum, length) => sum + length, 0) / total;
  const discount = Float64Array.from(lengths, (length) => k1 * (1 - b + (b * length) / average));
  const next = starts.slice();
  const sortedRows = new Int32Array(words.length);
  const scores = new Float32Array(words.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? 0;
    const row = rows[i] ?? 0;
    const times = counts[i] ?? 0;
    const place = next[word] ?? 0;
    next[word] = place + 1;
    sortedRows[place] = row;
    scores[place] = (idf[word] ?? 0) * (times / ((discount[row] ?? 0) + times));
  }
  return { starts, rows: sortedRows, scores };
}

/** The k largest totals, equal ones by row: a sorted list of k that each row must beat the last of. */
function best(totals: Float32Array, k: number): Bm25Hits {
  const scores = new Float32Array(k).fill(-1);
  const ids = new Int32Array(k);
  let last = -1;
  for (let row = 0; row < totals.length; row++) {
    const score = totals[row] ?? 0;
    if (score <= last) continue;
    let place = k - 1;
    while (place > 0 && (scores[place - 1] ?? 0) < score) {
      scores[place] = scores[place - 1] ?? 0;
      ids[place] = ids[place - 1] ?? 0;
      place--;
    }
    scores[place] = score;
    ids[place] = row;
    last = scores[k - 1] ?? 0;
  }
  return { scores, ids };
}
