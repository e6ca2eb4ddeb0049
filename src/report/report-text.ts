/**
 * The report as plain text: one line a row, intervals, what each row means, and the one sentence that says whether training the retriever helped. The figures are report.json's; nothing is
 * computed here but a difference. The trap: a retriever can end up worse than it started, and the text must say so as plainly as the opposite.
 */
import type { ReportRow } from "../evaluation/baselines.js";
import type { Difference } from "../evaluation/compare-rows.js";

/** `report.json`. */
export interface RunReport {
  readonly name: string;
  readonly split: string;
  readonly questions: number;
  readonly passages: number;
  /** Passages that the generator reads. */
  readonly k: number;
  readonly confidence: number;
  /** How answers were chosen, in words; reports of older versions don't say. */
  readonly decoding?: string;
  /** What is shown of the passages, in words; undefined: all that has room. */
  readonly context?: string;
  /** Which of the run's pairs was evaluated, in words; undefined: the last one. */
  readonly pair?: string;
  readonly rows: readonly ReportRow[];
  /** Rows beside the six: the trained generator without any passage. */
  readonly more: readonly ReportRow[];
  /** rep-n of the gold answers themselves, by n. */
  readonly gold_rep: Readonly<Record<string, number>>;
  readonly seconds: Readonly<Record<string, number>>;
}

/** MRR counts a gold passage down to the deepest rank that was searched, and says which. */
function headsOf({ k, rows }: RunReport): string[] {
  const depth = Math.max(k, ...rows.flatMap(({ recall }) => Object.keys(recall).map(Number)));
  return ["row", "EM", "interval", "F1", "ROUGE-L", "R@1", "R@5", `nDCG@${deepest(rows)}`, `MRR@${depth}`, "rep-2", "answer in context"];
}

/** The largest k of recall@k. */
function deepest(rows: readonly ReportRow[]): number {
  return Math.max(...rows.flatMap(({ recall }) => Object.keys(recall).map(Number)));
}

export function reportText(report: RunReport): string {
  const rows = [...report.rows, ...report.more];
  const depth = deepest(rows);
  const lines = aligned([headsOf(report), ...rows.map((row) => cells(row, depth))]);
  const longest = Math.max(...rows.map(({ name }) => name.length));
  const meanings = rows.map(({ name, meaning }) => `  ${name.padEnd(longest)}  ${meaning}`);
  return [
    `${report.name}: ${report.questions} questions of the ${report.split} split, ${report.passages} passages, k = ${report.k}`,
    "",
    ...lines,
    "",
    ...(report.pair === undefined ? [] : [`Trained pair: ${report.pair}.`]),
    ...(report.decoding === undefined ? [] : [`Decoding: ${report.decoding}.`]),
    ...(report.context === undefined ? [] : [`Context: ${report.context}.`]),
    `Intervals hold ${percent(report.confidence)} of bootstrap resamples, clustered by document.`,
    ...searched(report.rows),
    `rep-2 is the share of repeated word pairs; the gold answers' own is ${share(report.gold_rep["2"])}.`,
    ...meanings,
    "",
    ...abstentions(rows),
    ...comparisons(rows),
    ...verdict(report.rows),
    "",
  ].join("\n");
}

/** Lines of a table: the first column to the left, the others to the right. */
function aligned(table: readonly (readonly string[])[]): string[] {
  const widths = (table[0] ?? []).map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0)));
  return table.map((line) =>
    line.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join("  "),
  );
}

/** How often each row says that it doesn't know; nothing where no such answer is configured. */
function abstentions(rows: readonly ReportRow[]): string[] {
  const counted = rows.flatMap(({ name, abstention }) => (abstention === undefined ? [] : [{ name, abstention }]));
  const [first] = counted;
  if (first === undefined) return [];
  const heads = ["unknown answer", "questions with an answer", "said", "without", "said", "answered", "EM", "F1"];
  const lines = counted.map(({ name, abstention: own }) => [
    name,
    String(own.with_answer),
    share(own.rate_with_answer),
    String(own.without_answer),
    share(own.rate_without_answer),
    String(own.answered),
    share(own.em_answered),
    share(own.f1_answered),
  ]);
  return [
    ...aligned([heads, ...lines]),
    `How often ${JSON.stringify(first.abstention.unknown_answer)} is said where the passages answer (a gold one, or one that holds an answer by token match) and where they don't; EM and F1 here are of the answered questions alone.`,
    "",
  ];
}

/** What each row has over the base pair, with p. */
function comparisons(rows: readonly ReportRow[]): string[] {
  const compared = rows.flatMap(({ name, against_base: against }) => (against === null ? [] : [{ name, against }]));
  if (compared.length === 0) return [];
  const metrics = [
    ["em", "EM"],
    ["f1", "F1"],
    ["rouge_l", "ROUGE-L"],
    ["recall@1", "R@1"],
  ] as const;
  const cell = (test: Difference | undefined): string[] =>
    test === undefined ? ["–", "–"] : [signed(test.difference), `${pText(test.p)}${test.exact ? "" : "*"}`];
  const heads = ["against base-pair", ...metrics.flatMap(([, head]) => [head, "p"])];
  return [
    ...aligned([heads, ...compared.map(({ name, against }) => [name, ...metrics.flatMap(([key]) => cell(against[key]))])]),
    ...permutationNotes(compared.flatMap(({ against }) => metrics.flatMap(([key]) => against[key] ?? []))),
    "",
  ];
}

/** How the tests were made, and how small a p they could give. */
export function permutationNotes(tests: readonly Difference[]): string[] {
  const drawn = tests.find(({ exact }) => !exact);
  const smallest = tests.map(({ smallest_p: least }) => least);
  const low = Math.min(...smallest);
  const high = Math.max(...smallest);
  const reach = low === high ? pText(low) : `${pText(low)} to ${pText(high)}, by how many documents differ`;
  return [
    `p by paired permutation, two-sided, whole documents (${tests[0]?.documents ?? 0}) changing sides; not corrected for the number of tests.`,
    drawn === undefined
      ? "Every sign change was tried."
      : `* ${drawn.permutations.toLocaleString("en-US")} sign changes drawn${tests.some(({ exact }) => exact) ? "; elsewhere every one was tried" : ""}.`,
    `Smallest p that could be reached: ${reach}.`,
  ];
}

/** `0.032`; a small one as what it is, never as 0. */
export function pText(p: number): string {
  return p >= 0.001 ? p.toFixed(3) : p.toPrecision(2);
}

/** A difference with its sign. */
export function signed(value: number): string {
  return `${value >= 0 ? "+" : ""}${value.toFixed(3)}`;
}

/** Over how many questions retrieval was scored. */
function searched(rows: readonly ReportRow[]): string[] {
  const row = rows.find(({ mrr }) => mrr !== null);
  return row === undefined ? [] : [`Recall, nDCG and MRR are means over the ${row.with_gold} questions that have a gold passage.`];
}

function cells(row: ReportRow, depth: number): string[] {
  const [low, high] = row.em_interval;
  return [
    row.name,
    share(row.em),
    `${share(low)}-${share(high)}`,
    share(row.f1),
    share(row.rouge_l),
    share(row.recall["1"]),
    share(row.recall["5"]),
    share(row.ndcg[String(depth)]),
    share(row.mrr),
    share(row.rep["2"]),
    share(row.answer_in_context),
  ];
}

/** A share with three digits; a dash where there is none. */
export function share(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : value.toFixed(3);
}

export function percent(value: number): string {
  return `${Number((100 * value).toFixed(1))} %`;
}

/** A difference with a larger p is not told from chance. */
const CHANCE = 0.05;

/** Whether the trained retriever beats its start and BM25, in recall@1; a difference from its start that chance may give is called so. */
export function verdict(rows: readonly ReportRow[]): string[] {
  const rowOf = (name: string): ReportRow | undefined => rows.find((row) => row.name === name);
  const pair = rowOf("trained-pair");
  const trained = pair?.recall["1"] ?? undefined;
  if (trained === undefined) return [];
  return [
    ["base-pair", "its start"],
    ["bm25", "BM25"],
  ].flatMap(([name = "", meaning = ""]) => {
    const other = rowOf(name)?.recall["1"] ?? undefined;
    if (other === undefined) return [];
    const difference = trained - other;
    const word = difference > 0 ? "above" : difference < 0 ? "BELOW" : "equal to";
    const test = name === "base-pair" ? pair?.against_base?.["recall@1"] : undefined;
    const p = test === undefined ? "" : `, p = ${pText(test.p)}`;
    const chance = difference !== 0 && test !== undefined && test.p > CHANCE ? ", by no more than chance may give" : "";
    return [
      `The trained retriever's recall@1 is ${word} ${meaning}${chance}: ${trained.toFixed(3)} against ${other.toFixed(3)} (${signed(difference)}${p}).`,
    ];
  });
}
