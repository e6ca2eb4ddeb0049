/**
 * Values of questions gathered by document: what the bootstrap draws and the permutation test turns over. Questions of one document resemble each other, so a document is the unit of chance, not a
 * question. The trap: documents keep the order of their first question, so that a seed gives the same digits every time.
 */

/** What a mean is made of: the sum and the number of a document's values. */
export interface Cluster {
  readonly sum: number;
  readonly count: number;
}

/**
 * One cluster a document.
 * @param documents the document of each value
 * @throws Error when there is no value, a value isn't finite, or the lists differ in length
 */
export function clustersOf(values: readonly number[], documents: readonly (string | number)[]): Cluster[] {
  if (values.length === 0) throw new Error("no values to resample");
  if (values.length !== documents.length) throw new Error(`${values.length} values of ${documents.length} documents`);
  const clusters = new Map<string | number, { sum: number; count: number }>();
  values.forEach((value, i) => {
    if (!Number.isFinite(value)) throw new Error(`value ${i} is ${value}`);
    const document = documents[i] ?? "";
    const cluster = clusters.get(document) ?? { sum: 0, count: 0 };
    cluster.sum += value;
    cluster.count++;
    clusters.set(document, cluster);
  });
  return [...clusters.values()];
}

/** The sum over all values. */
export function totalOf(clusters: readonly Cluster[]): number {
  return clusters.reduce((total, { sum }) => total + sum, 0);
}
