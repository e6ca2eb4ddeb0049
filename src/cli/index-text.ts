/** What `tandem index` prints of what it made, in one process or as one of several. */
import type { MadeIndex } from "../job/index/make-index.js";

/** The result, for people or as JSON. */
export function madeText(made: MadeIndex, { json }: { readonly json: boolean }): string {
  return json ? `${JSON.stringify(made, null, 2)}\n` : described(made);
}

/** When a signal ended it. */
export const STOPPED = "stopped; what is embedded is kept: the same command goes on with it\n";

function described({ folder, outcome, provenance, seconds }: MadeIndex): string {
  const { size, dimension, metric, faiss } = provenance;
  const kind = faiss === undefined ? "exact" : faiss.factory;
  return `${outcome}: ${folder} (${size} passages, ${dimension} dimensions, ${metric}, ${kind}, ${seconds.toFixed(1)} s)\n`;
}
