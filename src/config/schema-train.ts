/**
 * The `train` section: both optimisers, losses, penalties, and when to audit, save, log and validate. Only keys stand here; those of the schedule are in schema-schedule.ts.
 * The trap: the learning rate's course runs over all steps that the schedule gives to a model, not anew in each phase.
 */
import { choice, flag, integer, list, number, pair, section, text } from "./leaf.js";
import { alarms } from "./schema-alarms.js";
import { mining } from "./schema-mining.js";
import { penalties } from "./schema-penalties.js";
import { drift, refresh } from "./schema-refresh.js";
import { conditions, earlyStopping, schedule } from "./schema-schedule.js";

/** The keys of a rate's course, and how a step is taken. */
function course(lr: number) {
  return {
    lr: number({ doc: "Highest learning rate.", default: lr, minimum: 0, exclusiveMinimum: true, maximum: 10 }),
    clip: number({ doc: "Longest gradient norm. null: no clipping.", default: 1, nullable: true, minimum: 0, exclusiveMinimum: true }),
    warmup: integer({ doc: "Steps in which the rate rises from 0.", default: 0, minimum: 0, unit: "steps" }),
    flat: number({ doc: "Share of this model's steps after which the rate starts to fall.", default: 0, minimum: 0, maximum: 1 }),
    decay: choice(["linear", "cosine", "constant"], { doc: "How the rate falls afterwards.", default: "linear" }),
    floor: number({
      doc: "The rate that the course falls to, as a share of lr; it is reached one step after the last.",
      default: 0.02,
      minimum: 0,
      maximum: 1,
    }),
    accumulate: integer({ doc: "Parts that a batch is computed in; the loss doesn't depend on it.", default: 1, minimum: 1 }),
  } as const;
}

const BETA = number({ doc: "", default: 0.9, minimum: 0, maximum: 1, exclusiveMaximum: true });

/** The keys of one optimiser; both models have their own values. */
function optimiser(lr: number) {
  return {
    ...course(lr),
    betas: pair(BETA, { doc: "AdamW's two decay rates.", default: [0.9, 0.999] }),
    eps: number({ doc: "AdamW's epsilon.", default: 1e-8, minimum: 0, exclusiveMinimum: true }),
    weight_decay: number({ doc: "Decoupled decay; never on biases and norms.", default: 0.01, minimum: 0 }),
  } as const;
}

const generator = section("Training of the generator.", {
  batch: integer({
    doc: "Contexts in a batch. null: as many as batch_tokens allows.",
    default: 4,
    nullable: true,
    minimum: 1,
    unit: "contexts",
  }),
  batch_tokens: integer({
    doc: "Tokens in a batch, padding included, grouped by length; planned by an estimate, so a batch may hold a fifth more. null: batch counts.",
    default: null,
    minimum: 16,
    unit: "tokens",
  }),
  ...optimiser(5e-5),
  contexts: choice(["auto", "gold", "retrieved"], {
    doc: "gold: the passage that answers; retrieved: what the current retriever finds in the current index; auto: gold in the first generator phase, retrieved afterwards.",
    default: "auto",
  }),
  passages: integer({ doc: "Passages in a training context. null: prompt.passages.", default: null, minimum: 1, unit: "passages" }),
  keep_gold: number({
    doc: "Share of the retrieved contexts that get the gold passage in the last place if the retriever missed it.",
    default: 0,
    minimum: 0,
    maximum: 1,
  }),
  shuffle_passages: number({
    doc: "Share of the retrieved contexts whose passages are shuffled: a retriever is surer on training questions than it will be, and a reader must not learn to trust the first rank alone.",
    default: 0,
    minimum: 0,
    maximum: 1,
  }),
  drop_gold: number({
    doc: "Share of the contexts that lose every passage which answers: gold ones and those that hold the answer; others take their places, of what was found or drawn at random. The target is then unknown_answer, or without one still the gold answer.",
    default: 0,
    minimum: 0,
    maximum: 1,
  }),
  unknown_answer: text({
    doc: "What is to be answered where no passage of the context answers, for example I don't know; the report says how often it is. null: the gold answer, whatever the context holds.",
    default: null,
    nullable: true,
    pattern: /\S/,
    wanted: "words",
  }),
  vary_passages: number({
    doc: "Share of the retrieved contexts that are cut to some of their first passages, the gold one among them if it was there: a generator that always read k passages reads fewer badly.",
    default: 0,
    minimum: 0,
    maximum: 1,
  }),
  questions_per_context: integer({ doc: "Most questions asked about one context, each with its own loss.", default: 1, minimum: 1 }),
  other_questions: choice(["context", "passage"], {
    doc: "Which other questions are asked about a context. context: all that one of its passages answers; passage: only those of the passage that answers the lead, for which the retriever would find much the same context.",
    default: "context",
  }),
  curriculum: section("Short contexts first.", {
    share: number({
      doc: "Share of the generator's steps over which contexts grow to their full length; 0: off.",
      default: 0,
      minimum: 0,
      maximum: 1,
    }),
    start: integer({ doc: "Sentences shown at the start, the answer's among them.", default: 1, minimum: 1, unit: "sentences" }),
    shuffle: flag({ doc: "Shuffle the sentences of gold contexts, also once they are whole; only while share is above 0.", default: true }),
  }),
  copy_weight: number({
    doc: "Weight of the loss on later mentions of a name inside the context; 0: answers only.",
    default: 0,
    minimum: 0,
  }),
  label_smoothing: number({
    doc: "Share of the target spread over the vocabulary.",
    default: 0,
    minimum: 0,
    maximum: 1,
    exclusiveMaximum: true,
  }),
});

const contrastive = section("Contrastive training of the retriever.", {
  batch: integer({
    doc: "Questions in a batch; each has the others' passages as negatives. No question stands twice in one, and no two share a passage unless batches asks for that; repeats at an epoch's end have smaller batches, or are left out of it where every batch has theirs.",
    default: 64,
    minimum: 2,
    unit: "questions",
  }),
  batches: choice(["mixed", "document", "passage", "document-passages"], {
    doc: "mixed: any questions together; document: questions about one document together as far as they fill batches, so that its other passages are the negatives; passage: all questions of a passage together, so that it is embedded once for them; document-passages: both, passages of one document with their questions, as far as they fill batches.",
    default: "mixed",
  }),
  ...optimiser(2e-5),
  temperature: number({ doc: "Divides the similarities.", default: 0.05, minimum: 0, exclusiveMinimum: true }),
  symmetric: flag({ doc: "Also rank questions for each passage.", default: false }),
  matryoshka: list(integer({ doc: "", default: 1, minimum: 1 }), {
    doc: "Numbers of first dimensions that are trained to be searched with alone, beside all of them, each with the same weight. Empty: off.",
    default: [],
  }),
  hard_negatives: integer({ doc: "Mined negatives a question.", default: 0, minimum: 0, unit: "passages" }),
  mining,
  positives: choice(["gold", "answer"], {
    doc: "gold: the question's gold passages; answer: also the best retrieved passage that holds the answer when there is no gold one.",
    default: "gold",
  }),
});

const reader = section(
  "How the generator, as a reader, teaches the retriever: phases reader-distillation and joint. No gold passage is used.",
  {
    loss: choice(["pdist", "emdr2", "rag_sequence", "rag_token"], {
      doc: "pdist: the retriever's belief follows the reader's likelihoods; emdr2: passages that explain the answer gain; rag_sequence, rag_token: the answer's likelihood with the passages summed out, which in a joint phase trains the reader too.",
      default: "pdist",
    }),
    batch: integer({ doc: "Questions in a batch.", default: 8, minimum: 1, unit: "questions" }),
    passages: integer({
      doc: "Passages that the reader scores for each question; one would teach nothing.",
      default: 8,
      minimum: 2,
      unit: "passages",
    }),
    candidates: integer({
      doc: "Found passages that the retriever ranks anew before the first of them are scored, against an index that has grown old. null: as many as passages, in the index's order.",
      default: null,
      minimum: 2,
      unit: "passages",
    }),
    temperature: number({ doc: "Divides the similarities.", default: 0.05, minimum: 0, exclusiveMinimum: true }),
    reader_temperature: number({ doc: "pdist: divides the reader's log-likelihoods.", default: 1, minimum: 0, exclusiveMinimum: true }),
    normalise_length: flag({ doc: "pdist and emdr2: an answer's mean log-likelihood a token in place of its sum.", default: false }),
    rename: flag({
      doc: "Where data.rename is on: new names for the retriever and for the reader that teaches it. false: the corpus's own names there; a generator that learns by its own loss in a joint phase has new ones all the same.",
      default: true,
    }),
    train_passages: flag({ doc: "Gradients through the passages' embeddings too; false: only through the questions'.", default: true }),
    fixed_index: flag({
      doc: "Query-side-only training: passages stay as the untrained retriever embedded them, in training, evaluation and search alike, and the index is never refreshed. Needs train_passages: false.",
      default: false,
    }),
    tokens_at_once: integer({
      doc: "Tokens of one forward pass of the reader, padding included.",
      default: 4096,
      minimum: 16,
      unit: "tokens",
    }),
    ...course(2e-5),
    generator_lr: number({
      doc: "joint: the generator's highest rate, over the same course. null: train.generator.lr.",
      default: null,
      nullable: true,
      minimum: 0,
      exclusiveMinimum: true,
      maximum: 10,
    }),
    betas: list(BETA, {
      doc: "AdamW's two decay rates for the retriever. null: train.contrastive.betas.",
      default: null,
      minimum: 2,
      maximum: 2,
    }),
    eps: number({
      doc: "AdamW's epsilon for the retriever. null: train.contrastive.eps.",
      default: null,
      minimum: 0,
      exclusiveMinimum: true,
    }),
    weight_decay: number({
      doc: "Decoupled decay of the retriever; never on biases and norms. null: train.contrastive.weight_decay.",
      default: null,
      minimum: 0,
    }),
  },
);

/** Which section has the course of a phase's rate. */
export const COURSES = [
  ["generator", "generator"],
  ["contrastive", "contrastive"],
  ["reader-distillation", "reader"],
  ["joint", "reader"],
] as const;

/** Phases in which the reader teaches the retriever. */
export const READER_PHASES: readonly string[] = COURSES.filter(([, section]) => section === "reader").map(([phase]) => phase);

export const train = section("Training.", {
  workers: integer({
    doc: "Worker processes that share each step, on this machine; the losses don't depend on how many. Under torchrun or srun the launcher decides.",
    default: 1,
    minimum: 1,
    maximum: 1024,
  }),
  shard_optimiser: flag({
    doc: "Each worker keeps the optimiser's moments of its share of the parameters alone (ZeRO stage 1), so n workers need an n-th of that memory each; the numbers stay the same to the bit, and every step sends the new weights around. Nothing changes with one worker.",
    default: false,
  }),
  schedule,
  conditions,
  generator,
  contrastive,
  reader,
  drift,
  refresh,
  penalties,
  alarms,
  audit: section("Gradient audit and the penalties' hard counts on a fixed probe batch.", {
    every: integer({
      doc: "Steps between two probes of the penalties, in generator and joint phases. null: none; the audit before the first step is always made.",
      default: 200,
      nullable: true,
      minimum: 1,
      unit: "steps",
    }),
    batches: integer({ doc: "Most batches whose gradients are added up before a term counts as dead.", default: 4, minimum: 1 }),
    examples: integer({ doc: "Answers generated for the hard counts.", default: 16, minimum: 1 }),
  }),
  checkpoint: section("When the run's state is saved and what is kept.", {
    every: integer({
      doc: "Steps between two checkpoints; one is always written at a phase's end. null: only there.",
      default: 500,
      nullable: true,
      minimum: 1,
      unit: "steps",
    }),
    keep_last: integer({ doc: "Newest checkpoints kept.", default: 2, minimum: 1 }),
    keep_best: flag({ doc: "Also keep the checkpoint with the best validation metric.", default: true }),
    metric: text({
      doc: "The metric that says which is best.",
      default: "em",
      pattern: /^(em|f1|rouge_l|recall@\d+|mrr)$/,
      wanted: "em, f1, rouge_l, recall@K or mrr",
    }),
    load_best: flag({ doc: "At the end export and evaluate the best checkpoint's pair, not the last one's.", default: false }),
  }),
  early_stopping: earlyStopping,
  log: section("metrics.jsonl.", {
    every: integer({ doc: "Steps between two lines.", default: 10, minimum: 1, unit: "steps" }),
  }),
  validate: section("The pair being trained answers validation questions.", {
    after_each_phase: flag({ doc: "Validate at the end of every phase.", default: true }),
    every: integer({
      doc: "Also validate inside phases, every so many steps. null: only where phases end.",
      default: null,
      minimum: 1,
      unit: "steps",
    }),
    questions: integer({
      doc: "How many questions, at even distances in the validation set. null: all.",
      default: 200,
      nullable: true,
      minimum: 1,
      unit: "questions",
    }),
  }),
});
