/**
 * What a contrastive step of MiniLM needs in memory and time, whole or in parts (GradCache): one step over real questions and passages, in a process of its own, so that the highest memory is this step's.
 * Run: npx tsx bench/contrastive-memory.ts FOLDER QUESTIONS PASSAGES BATCH PARTS [TOKENS] (all-MiniLM-L6-v2; JSON lines of questions with passage_ids, and of passages with ids; TOKENS: where texts are cut)
 */
import { readFileSync } from "node:fs";
import { AdamW } from "../src/engine/adamw.js";
import { gradientNorm } from "../src/engine/clip.js";
import { engineFacts } from "../src/engine/info.js";
import { scope } from "../src/engine/scope.js";
import { Encoder } from "../src/retrieval/encoder.js";
import { parameterGroups } from "../src/training/optimiser.js";
import { totalLoss } from "../src/training/loss-terms.js";
import { contrastivePhase } from "../src/training/phases/contrastive.js";

const [folder, questionFile, passageFile, batch, parts, maxTokens] = process.argv.slice(2);
if (folder === undefined || questionFile === undefined || passageFile === undefined || batch === undefined || parts === undefined) {
  process.stderr.write("bench/contrastive-memory.ts: FOLDER QUESTIONS PASSAGES BATCH PARTS [TOKENS]\n");
  process.exit(2);
}
const lines = (file: string): Record<string, unknown>[] =>
  readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
const passages = lines(passageFile) as { id: string; title: string; text: string }[];
const rowOf = new Map(passages.map(({ id }, row) => [id, row]));
const questions = (lines(questionFile) as { question: string; answers: string[]; passage_ids: string[] }[]).flatMap((entry) => {
  const row = rowOf.get(entry.passage_ids[0] ?? "");
  return row === undefined ? [] : [{ question: entry.question, answers: entry.answers, positives: [row] }];
});

const megabytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;
const highest = (): number => process.resourceUsage().maxRSS * 1024;
const encoder = Encoder.load(folder, maxTokens === undefined ? {} : { maxTokens: Number(maxTokens) });
const optimiser = new AdamW(parameterGroups(encoder.parameters, 0.01));
const phase = contrastivePhase({
  encoder,
  questions,
  textOf: (row) => `${passages[row]?.title ?? ""}. ${passages[row]?.text ?? ""}`,
  seed: 0,
  batch: Number(batch),
  accumulate: Number(parts),
  temperature: 0.05,
  dropout: true,
});
const made = phase.batch(0);
const before = highest();
const start = performance.now();
scope(() => {
  optimiser.zeroGrad();
  const loss = totalLoss(phase.step(made));
  const norm = gradientNorm(encoder.parameters.values());
  const seconds = (performance.now() - start) / 1000;
  const size = `${made.queries.length} questions, ${made.passages.length} passages, ${phase.tokens(made)} tokens with padding`;
  process.stdout.write(
    `${size}, ${parts} parts, ${engineFacts().threads} threads: ${seconds.toFixed(1)} s, highest memory ${megabytes(highest())}, ${megabytes(before)} of it before the step; loss ${loss.toFixed(6)}, gradient norm ${norm.toFixed(6)}\n`,
  );
});
