/**
 * ROUGE-L: how much of an answer's words stand in the gold answer in the same order, as Google's rouge-score package counts it without stemming, so that figures can be laid beside published ones. It
 * isn't F1 of qa-metrics.ts: order counts, articles count, and other characters part words. The trap: words are runs of a–z and 0–9; "Kraków" is the words "krak" and "w", and an answer in another script
 * has no words at all and scores 0, even against itself.
 */

/**
 * The best over gold answers of 2PR / (P + R), where P and R are the length of the longest common subsequence of words divided by the number of words of the
 * prediction and of the gold answer; 0 where either has no word (Lin 2004; rouge-score 0.1.2, rougeL, `score_multi`). In [0, 1].
 * @throws Error without a gold answer
 */
export function rougeL(prediction: string, answers: readonly string[]): number {
  if (answers.length === 0) throw new Error("a question without a gold answer can't be scored");
  const predicted = words(prediction);
  return Math.max(...answers.map((answer) => measure(predicted, words(answer))));
}

function measure(predicted: readonly string[], gold: readonly string[]): number {
  const common = commonSubsequence(predicted, gold);
  if (common === 0) return 0;
  const precision = common / predicted.length;
  const recall = common / gold.length;
  return (2 * precision * recall) / (precision + recall);
}

/** Length of the longest common subsequence, one row of the table at a time. */
function commonSubsequence(left: readonly string[], right: readonly string[]): number {
  let above = new Uint32Array(right.length + 1);
  for (const word of left) {
    const row = new Uint32Array(right.length + 1);
    for (let j = 0; j < right.length; j++) {
      row[j + 1] = word === right[j] ? (above[j] ?? 0) + 1 : Math.max(above[j + 1] ?? 0, row[j] ?? 0);
    }
    above = row;
  }
  return above[right.length] ?? 0;
}

function words(text: string): string[] {
  return text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
}
