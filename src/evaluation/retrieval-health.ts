/**
 * Whether a retriever still tells passages apart, from its results for many questions: share of distinct passages, hubness, and entropy of its belief. It needs no gold passages, so it can be watched while training. It isn't
 * quality: a healthy ranking may be wrong. The trap: all three depend on k and on how many questions were asked, so only figures of one set of questions and one k can be compared.
 *
 * Q questions, K results.
 */

/** What was found, as an index returns it: row-major, best first; -1 where an approximate index found no more. */
export interface Ranked {
  readonly k: number;
  readonly ids_QK: Int32Array;
  readonly scores_QK: Float32Array;
}

export interface RetrievalHealth {
  /** Distinct passages among all results, of as many as there could be: min(Q·K, passages). In (0, 1]; a retriever that finds the same for every question is near 0. */
  readonly uniqueDocuments: number;
  /** Share of the questions that have the most frequent passage among their results. In (0, 1]. */
  readonly hubness: number;
  /** Mean over questions of the entropy of softmax(scores/τ) over the K results, divided by ln K: 0 is a belief in one passage, 1 is no belief at all. */
  readonly entropy: number;
}

/**
 * Unique-document ratio |∪_q top-K(q)| / min(Q·K, N); hubness max_d N_K(d) / Q, where N_K(d) is how many questions find d (Radovanović et al. 2010, JMLR 11, call N_K the k-occurrences); entropy −Σ_k r_k ln r_k / ln K, r = softmax(s/τ).
 *
 * @param passages passages that could have been found
 * @param temperature τ > 0, that of the phase which trains the retriever
 * @throws RangeError without a question or a result
 */
export function retrievalHealth({ k, ids_QK, scores_QK }: Ranked, passages: number, temperature: number): RetrievalHealth {
  const questions = k === 0 ? 0 : ids_QK.length / k;
  if (questions < 1 || !Number.isInteger(questions)) throw new RangeError(`retrieval health of ${ids_QK.length} results, ${k} a question`);
  const occurrences = new Map<number, number>();
  let entropies = 0;
  for (let q = 0; q < questions; q += 1) {
    const found = ids_QK.subarray(q * k, (q + 1) * k);
    for (const id of found) if (id >= 0) occurrences.set(id, (occurrences.get(id) ?? 0) + 1);
    entropies += entropyOf(
      scores_QK.subarray(q * k, (q + 1) * k).filter((_, place) => (found[place] ?? -1) >= 0),
      temperature,
    );
  }
  if (occurrences.size === 0) throw new RangeError("retrieval health of no results");
  return {
    uniqueDocuments: occurrences.size / Math.min(questions * k, passages),
    hubness: Math.max(...occurrences.values()) / questions,
    entropy: entropies / questions,
  };
}

/** In [0, 1]; a single result has none. */
function entropyOf(scores: Float32Array, temperature: number): number {
  if (scores.length < 2) return 0;
  const best = Math.max(...scores);
  const weights = Array.from(scores, (score) => Math.exp((score - best) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  // ln Σw − Σ w·ln w / Σw; a weight of 0 adds nothing.
  const mean = weights.reduce((sum, weight) => sum + (weight > 0 ? weight * Math.log(weight) : 0), 0) / total;
  return Math.max(0, Math.min(1, (Math.log(total) - mean) / Math.log(scores.length)));
}
