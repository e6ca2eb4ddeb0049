/**
 * What of a report's row goes beyond report.json, into lists of runs and to a server: every figure, but of the comparison with the base pair only the difference and its p for each metric. It computes nothing. The
 * trap: a comparison holds counts of how p was found (permutations, documents), which read like scores once they stand in a chart.
 */

const COMPARED = "against_base";
const KEPT = ["difference", "p"] as const;

/** The values of a row, without its name. */
export function rowFigures(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { [COMPARED]: compared, ...own } = values;
  if (!isRecord(compared)) return own;
  const short = Object.entries(compared).flatMap(([metric, test]) =>
    isRecord(test) ? [[metric, Object.fromEntries(KEPT.flatMap((name) => (name in test ? [[name, test[name]]] : [])))]] : [],
  );
  return { ...own, [COMPARED]: Object.fromEntries(short) as unknown };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
