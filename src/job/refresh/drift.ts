/**
 * Measures how far the retriever has moved from the index that training reads: vectors of a fixed probe then and now, what both find, and what the difference costs the generator. It decides nothing; refresh-policy.ts does.
 * What is approximated: both searches are exact and see the probe's pool alone; regret is taken on whole passages in their ranks' order, without the sentence filter, renaming, shuffling or kept gold passages, and against what training
 * reads, which an approximate index may have found worse on its first day.
 *
 * P passages, Q questions, D dimension.
 */
import path from "node:path";
import { configOfEntry } from "../../config/phase-settings.js";
import { passageText } from "../../corpus/passage.js";
import { noGrad } from "../../engine/grad-mode.js";
import { scope } from "../../engine/scope.js";
import { fromBytes, type Tensor } from "../../engine/tensor.js";
import { passageRegret, type AnswerLoss } from "../../evaluation/passage-regret.js";
import { meanCosine } from "../../evaluation/probe-cosine.js";
import { meanOverlap } from "../../evaluation/top-overlap.js";
import { buildTrainingPrompts } from "../../generation/prompt.js";
import { ExactIndex, unitRows } from "../../retrieval/exact-index.js";
import { NpyReader } from "../../storage/npy-reader.js";
import { drawDriftProbe, type DriftProbe } from "../../training/drift-probe.js";
import { answerLengths, answerLikelihoods } from "../../training/phases/reader-likelihood.js";
import { DRIFT_COSINE, DRIFT_OVERLAP, DRIFT_REGRET } from "../../training/refresh-policy.js";
import type { RunState } from "../../training/run-state.js";
import { openRetrieved, type RetrievedRows } from "../index/artefacts.js";
import { runPrecision } from "../hardware.js";
import type { OpenRun } from "../run/open-run.js";
import { answeredQuestion } from "../phases/phase-parts.js";

type DriftParts = Pick<OpenRun, "config" | "store" | "sets" | "encoder" | "generator" | "artefacts">;

/** What is measured on while one index is read. */
interface Fixed {
  readonly index: string;
  readonly retrieval: string;
  readonly rows: RetrievedRows;
  readonly probe: DriftProbe;
  /** Bytes of f32 (P, D). */
  readonly stale: Uint8Array;
}

export class DriftMeter {
  readonly #run: DriftParts;
  readonly #heldOut: ReadonlySet<string>;
  #fixed: Fixed | undefined;

  /** @param heldOut documents whose passages training never sees */
  constructor(run: DriftParts, heldOut: ReadonlySet<string>) {
    this.#run = run;
    this.#heldOut = heldOut;
  }

  /**
   * The figures by their names in the log; none before there is an index.
   *
   * @param entry of the schedule, whose contexts regret is of
   * @throws UserError when the index's vectors are damaged
   */
  async measure(state: RunState, entry: number): Promise<Record<string, number>> {
    const { index, retrieval } = state.progress.artefacts;
    if (index === undefined || retrieval === undefined) return {};
    const { config, encoder, store, artefacts } = this.#run;
    const { drift } = config.train;
    const fixed = this.#fixedFor(index, retrieval);
    const { probe, rows } = fixed;
    const vectors = (tensors: () => Tensor): Tensor => scope(() => noGrad(tensors)).keep();
    const unit = (vectors_ND: Tensor): Tensor => (config.index.metric === "cosine" ? unitRows(vectors_ND) : vectors_ND);
    const texts = probe.pool.map((row) => passageText(store.get(row), artefacts.template));
    const stale_PD = vectors(() => fromBytes(fixed.stale, "f32", [probe.pool.length, encoder.dimension]));
    const fresh_PD = vectors(() => unit(encoder.embedPassages(texts)).toDevice("cpu", "f32"));
    const queries_QD = vectors(() => encoder.embedQueries(this.#questions(probe).map(({ question }) => question)));
    const cosine = meanCosine(stale_PD, fresh_PD);
    // Each search takes its vectors over.
    const before = await this.#found(stale_PD, queries_QD, probe);
    const now = await this.#found(fresh_PD, queries_QD, probe);
    queries_QD.dispose();
    const overlap = meanOverlap(before, now);
    if (!drift.regret) return { [DRIFT_COSINE]: cosine, [DRIFT_OVERLAP]: overlap };
    const shown = configOfEntry(config, entry).train.generator.passages ?? config.prompt.passages;
    const first = (found: readonly number[]): number[] => found.filter((row) => row >= 0).slice(0, shown);
    const read = this.#answerLoss(probe, (q) => first(rows.rowsOf(probe.questions[q] ?? 0)));
    const best = this.#answerLoss(probe, (q) => first(now[q] ?? []));
    return { [DRIFT_COSINE]: cosine, [DRIFT_OVERLAP]: overlap, [DRIFT_REGRET]: passageRegret(read, best) };
  }

  #fixedFor(index: string, retrieval: string): Fixed {
    if (this.#fixed?.index === index && this.#fixed.retrieval === retrieval) return this.#fixed;
    const { config, store, sets, artefacts } = this.#run;
    const { drift } = config.train;
    const rows = openRetrieved(artefacts, retrieval, sets.train.length);
    const probe = drawDriftProbe({
      seed: config.seed,
      questions: sets.train.length,
      wanted: drift.questions,
      rowsOf: (question) => rows.rowsOf(question),
      passages: drift.passages,
      size: store.size,
      isAllowed: (row) => !this.#heldOut.has(store.field(row, "document")),
    });
    const stale = vectorsOf(path.join(artefacts.indexFolder, index, "vectors.npy"), probe.pool);
    this.#fixed = { index, retrieval, rows, probe, stale };
    return this.#fixed;
  }

  #questions({ questions }: DriftProbe): { question: string; answer: string }[] {
    return questions.map((question) => answeredQuestion(this.#run.sets.train[question]));
  }

  /** Rows of the corpus that each question finds among these vectors of the pool, best first. */
  async #found(vectors_PD: Tensor, queries_QD: Tensor, { pool }: DriftProbe): Promise<number[][]> {
    const { depth: k } = this.#run.config.train.drift;
    const index = ExactIndex.over(vectors_PD, { metric: this.#run.config.index.metric });
    try {
      const found = await index.search(queries_QD, k);
      return Array.from({ length: queries_QD.size(0) }, (_, q) =>
        Array.from(found.ids_QK.subarray(q * found.k, (q + 1) * found.k), (place) => pool[place] ?? -1),
      );
    } finally {
      index.dispose();
    }
  }

  /** Of the probe's gold answers, by the generator as it is now, without dropout. */
  #answerLoss(probe: DriftProbe, rowsOf: (question: number) => readonly number[]): AnswerLoss {
    const { config, generator, store, sets, artefacts } = this.#run;
    const items = this.#questions(probe).map((asked, q) => {
      const history = sets.train[probe.questions[q] ?? 0]?.history;
      return { passages: rowsOf(q).map((row) => store.get(row)), questions: [asked], ...(history === undefined ? {} : { history }) };
    });
    const { tokenizer, format, maxTokens, eosId, model } = generator;
    const prompts = buildTrainingPrompts(tokenizer, format.open, items, maxTokens, eosId).map((prompt, example) => ({ prompt, example }));
    const precision = runPrecision(config.precision, artefacts.device);
    const options = { model, seed: config.seed, dropout: false, tokensAtOnce: config.train.reader.tokens_at_once, precision };
    return scope(() =>
      noGrad(() => {
        const likelihoods_CA = answerLikelihoods({ ...options, device: artefacts.device }, prompts, 0);
        return { sum: -likelihoods_CA.sum().item(), tokens: answerLengths(prompts).reduce((sum, length) => sum + length, 0) };
      }),
    );
  }
}

/** Rows of an `.npy` of float32 (N, D), one after another. */
function vectorsOf(file: string, rows: readonly number[]): Uint8Array {
  const reader = new NpyReader(file);
  try {
    const { rowBytes } = reader.file;
    const bytes = new Uint8Array(rows.length * rowBytes);
    for (const [place, row] of rows.entries()) reader.read(row, 1, bytes.subarray(place * rowBytes));
    return bytes;
  } finally {
    reader.close();
  }
}
