/**
 * The report as one HTML file: rows with intervals and p-values, curves by step, answers before and after, config and versions. It holds no script and asks for nothing: it works from a disk without a network,
 * in light and dark, on paper, and read aloud. The same run gives the same bytes, so nothing of the moment of writing is in it, no date and no duration of the evaluation. The trap: passages, questions, answers
 * and config values are other people's text; they pass through `markup`, which escapes them, and the page's policy forbids scripts and loads even if one slipped through.
 */
import { createHash } from "node:crypto";
import type { Answered } from "../evaluation/answered.js";
import { answerPairs } from "./answer-pairs.js";
import { curvesOf, type Curve, type CurveRecord, type PhaseSpan } from "./curves.js";
import { htmlOf, markup, trusted, type Markup } from "./markup.js";
import { REPORT_STYLE } from "./report-style.js";
import { percent, verdict, type RunReport } from "./report-text.js";
import { rowsChart } from "./rows-chart.js";
import { rowTables } from "./row-tables.js";
import { stepChart } from "./step-chart.js";

/** All that the page shows. */
export interface ReportPage {
  readonly report: RunReport;
  /** Answers to the report's questions; empty where the row wasn't asked for. */
  readonly base: readonly Answered[];
  readonly trained: readonly Answered[];
  /** Lines of metrics.jsonl. */
  readonly metrics: readonly CurveRecord[];
  /** Lines of validation/summary.jsonl. */
  readonly validation: readonly CurveRecord[];
  readonly phases: readonly PhaseSpan[];
  /** The resolved config as YAML, and what the command line changed. */
  readonly config: string;
  readonly overrides: readonly string[];
  /** When, from which source, with which versions and machine: names and values. */
  readonly origin: readonly (readonly [string, string])[];
}

/** The page's text. */
export function reportHtml(page: ReportPage): string {
  const { report } = page;
  const title = `${report.name}: report`;
  const hash = createHash("sha256").update(REPORT_STYLE).digest("base64");
  return htmlOf(markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'">
<title>${title}</title>
<style>${trusted(REPORT_STYLE)}</style>
</head>
<body>
${header(page, title)}
<main>
${section("rows", "Rows", rows(report))}
${section("training", "Training", training(page))}
${section("validation", "Validation", validation(page))}
${section("answers", "Answers before and after", answerPairs(page.base, page.trained))}
${section("config", "Config", config(page))}
${section("origin", "Source and versions", origin(page))}
</main>
</body>
</html>
`);
}

const SECTIONS = [
  ["rows", "Rows"],
  ["training", "Training"],
  ["validation", "Validation"],
  ["answers", "Answers"],
  ["config", "Config"],
  ["origin", "Source and versions"],
] as const;

function header({ report }: ReportPage, title: string): Markup {
  const { questions, split, passages, k, pair } = report;
  return markup`<header>
<h1><bdi>${title}</bdi></h1>
<p>${questions} questions of the <bdi>${split}</bdi> split, ${passages} passages, of which the generator reads ${k}.${pair === undefined ? undefined : markup` The trained pair is <bdi>${pair}</bdi>.`}</p>
<nav aria-label="Sections"><ul>${SECTIONS.map(([id, name]) => markup`<li><a href="#${id}">${name}</a></li>`)}</ul></nav>
</header>`;
}

function section(id: string, title: string, content: Markup): Markup {
  return markup`<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
${content}
</section>`;
}

function rows(report: RunReport): Markup {
  const sentences = verdict(report.rows);
  return markup`${sentences.length === 0 ? undefined : markup`<div class="verdict">${sentences.map((sentence) => markup`<p>${sentence}</p>`)}</div>`}
${rowsChart([...report.rows, ...report.more], report.confidence)}
<p class="note">Small figures are intervals that hold ${percent(report.confidence)} of bootstrap resamples, clustered by document.</p>
${rowTables(report)}`;
}

/** What the numbers of metrics.jsonl and of the validation are. */
const MEANINGS: readonly (readonly [RegExp, string])[] = [
  [/^loss$/, "what is minimised: the weighted sum of the phase's terms"],
  [/^loss\/answer$/, "cross-entropy of the answer's tokens and its end, in nats a token"],
  [/^loss\/contrastive$/, "cross-entropy of the gold passage among the batch's passages, in nats"],
  [/^loss\/answer_in_context$/, "share of the contexts that hold the answer; no term of the loss"],
  [/^loss\/(ngram_repeat|keyword_coverage|keyword_overlap|short_answer|unlikelihood|sequence_unlikelihood)$/, "penalty, before its weight"],
  [/^loss\/unknown_target$/, "share of the contexts whose target is the unknown answer; no term of the loss"],
  [/^loss\/drawn_tokens$/, "tokens of the answers that the penalties look at; no term of the loss"],
  [/^rate$/, "learning rate"],
  [/^gradient_norm$/, "before clipping"],
  [/^tokens_per_second$/, "tokens a second"],
  [/^gemm_share$/, "share of this machine's matrix-product rate"],
  [
    /^drift\/cosine$/,
    "how little the retriever has moved since the index that is read was made: mean cosine of the probe's passages then and now",
  ],
  [/^drift\/overlap$/, "the share of the best passages that the old vectors and new ones have in common"],
  [/^drift\/regret$/, "the generator's loss on what the index found, minus that on what a new one would find: nats a token"],
  [/^drift\/age$/, "steps since the retriever was read that the index was made with"],
  [/^refresh\/wait_seconds$/, "how long training waited for the index that a second process made"],
  [/^probe\/.*\/generated$/, "counted on what the generator writes"],
  [/^probe\/.*\/gold$/, "counted on the gold answers"],
  [/^probe\/gradient\//, "the term's gradient norm relative to cross-entropy's"],
  [/^em$/, "exact match"],
  [/^abstention@with_answer$/, "share of the questions whose passages answer that got the unknown answer"],
  [/^abstention@without_answer$/, "share of the questions whose passages don't answer that got the unknown answer"],
  [/^abstention@em_answered$/, "exact match of the questions that got another answer"],
  [/^f1$/, "F1 of words"],
  [/^rouge_l$/, "longest common subsequence of words"],
  [/^mrr$/, "mean reciprocal rank of the gold passage"],
  [/^recall@/, "questions with a gold passage among so many"],
  [/^ndcg@/, "normalised discounted cumulative gain"],
  [/^rep-/, "share of repeated n-grams in the answers"],
  [/^answer_in_context$/, "questions whose prompt holds the answer"],
];

function training({ metrics, phases }: ReportPage): Markup {
  const list = phases.map(
    ({ phase, from, to }) =>
      markup`<li>${phase} <span class="note">${to - from === 1 ? `step ${to}` : `steps ${from + 1} to ${to}`}</span></li>`,
  );
  return markup`<p>The schedule, as the drawings number it; bands are phases, dashed lines are refreshes of the index.</p><ol class="phases">${list}</ol>
${charts("training", curvesOf(metrics, phases), phases, "metrics.jsonl is empty: there are no curves.")}`;
}

function charts(section: "training" | "validation", curves: readonly Curve[], spans: readonly PhaseSpan[], none: string): Markup {
  const drawn = curves.filter(({ stretches }) => stretches.length > 0);
  const undrawn = curves.filter(({ stretches, unfinite }) => stretches.length === 0 && unfinite > 0);
  if (drawn.length + undrawn.length === 0) return markup`<p>${none}</p>`;
  const isMeasured = section === "validation";
  // A stable sort: terms of the loss first, the probe's figures last, else as they were logged.
  const place = (curve: Curve): number => (curve.name.startsWith("loss") ? 0 : curve.name.startsWith("probe/") ? 2 : 1);
  drawn.sort((left, right) => place(left) - place(right));
  const figures = drawn.map((curve, i) =>
    stepChart(curve, {
      id: `${section}-${i}`,
      spans,
      meaning: MEANINGS.find(([pattern]) => pattern.test(curve.name))?.[1],
      dots: isMeasured,
      share: isMeasured,
    }),
  );
  const lost = undrawn.map(
    ({ name, unfinite }) => markup`<p class="note">${name}: nothing to draw; none of its ${unfinite} values is finite.</p>`,
  );
  return markup`<div class="charts">${figures}</div>${lost}`;
}

function validation({ validation: records, phases }: ReportPage): Markup {
  const none = "The run wasn't validated (train.validate.after_each_phase, train.validate.every).";
  return markup`<p class="note">The pair as it was after each phase, and at validations inside phases, on validation questions.</p>${charts("validation", curvesOf(records, phases), phases, none)}`;
}

function config({ config: yaml, overrides }: ReportPage): Markup {
  const changed =
    overrides.length === 0
      ? markup`<p>Nothing was changed on the command line.</p>`
      : markup`<p>Changed on the command line:</p><pre>${overrides.join("\n")}</pre>`;
  return markup`${changed}<details><summary>The resolved config, every key</summary><pre>${yaml}</pre></details>`;
}

function origin({ origin: facts }: ReportPage): Markup {
  return markup`<dl>${facts.map(
    ([name, value]) => markup`<dt>${name}</dt><dd><bdi>${value}</bdi></dd>
`,
  )}</dl>`;
}
