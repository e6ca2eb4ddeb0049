/**
 * The sections of the two models and of the prompt between them: `retriever`, `generator`, `prompt`, `index`. Only keys stand here; models are
 * `src/nn`, prompts `src/generation`. The trap: with a `path` the folder decides the shape and `initialise` isn't read.
 */
import { choice, flag, freeKeys, integer, number, path, section, text } from "./leaf.js";

/** Seeded normal initialisation is the same key in both models. */
const std = number({ doc: "Standard deviation of the weights at the start.", default: 0.02, minimum: 0, exclusiveMinimum: true });
const layers = integer({ doc: "Transformer layers.", default: 2, minimum: 1 });
const width = integer({ doc: "Width of the hidden states; a multiple of heads.", default: 128, minimum: 1 });
const heads = integer({ doc: "Attention heads.", default: 4, minimum: 1 });
const vocabulary = integer({
  doc: "Tokens of the tokenizer that is trained on the corpus.",
  default: 2048,
  minimum: 300,
  maximum: 1_000_000,
  unit: "tokens",
});
const dropout = number({ doc: "Dropout in training.", default: 0.1, minimum: 0, maximum: 1, exclusiveMaximum: true });

export const retriever = section("The encoder of questions and passages.", {
  path: path({ doc: "A Hugging Face or sentence-transformers folder to start from. null: from scratch by initialise.", default: null }),
  initialise: section("A BERT from scratch; read when path is null.", {
    layers,
    width,
    heads,
    intermediate: integer({ doc: "Width of the feed-forward layer. null: four times width.", default: null, minimum: 1 }),
    positions: integer({ doc: "Longest input of the model.", default: 512, minimum: 8, unit: "tokens" }),
    std,
    vocabulary,
    tokenizer: choice(["wordpiece", "byte-bpe"], { doc: "The kind of tokenizer that is trained.", default: "wordpiece" }),
  }),
  pooling: choice(["mean", "cls"], { doc: "How token states become one vector. null: as the folder says, else mean.", default: null }),
  normalise: flag({ doc: "Embeddings of length one. null: as the folder says, else true.", default: true, nullable: true }),
  max_tokens: integer({
    doc: "Inputs are cut here, special tokens included. null: as the folder says, else all positions.",
    default: null,
    minimum: 8,
    unit: "tokens",
  }),
  query_prefix: text({ doc: "Put before each question, for encoders trained that way.", default: "" }),
  passage_prefix: text({ doc: "Put before each passage.", default: "" }),
  dropout,
});

export const generator = section("The language model that answers.", {
  path: path({ doc: "A Hugging Face folder to start from. null: from scratch by initialise.", default: null }),
  initialise: section("A GPT-2 from scratch; read when path is null.", {
    layers,
    width,
    heads,
    positions: integer({ doc: "Longest input of the model.", default: 512, minimum: 8, unit: "tokens" }),
    std,
    vocabulary,
    scaled_residual: flag({
      doc: "Start what is added to the residual stream smaller in deeper models, by 1/√(2·layers), as GPT-2 does.",
      default: true,
    }),
    sinusoidal_positions: flag({ doc: "Start the position embeddings as sine waves instead of noise.", default: false }),
    induction: flag({
      doc: 'Lay an induction circuit into the first weights, so that the model copies what followed before ("A B … A" gives "B") from its first step; needs 2 layers and 3 heads.',
      default: false,
    }),
  }),
  max_tokens: integer({
    doc: "Prompt and answer together; passages are cut to fit, the question never. null: all positions.",
    default: null,
    minimum: 16,
    unit: "tokens",
  }),
  dropout,
});

export const prompt = section("What the generator reads: one builder for training, validation and asking.", {
  template: text({
    doc: "The whole prompt; {context}, {question}, {history} and the names of variables stand for their texts.",
    default: "Context: {context}\nQ: {question}\nA:",
  }),
  template_file: path({ doc: "A text file in place of template; its text goes into the run's config. null: template.", default: null }),
  closed_book_template: text({
    doc: "The prompt without passages; {question}, {history} and the names of variables stand for their texts.",
    default: "Q: {question}\nA:",
  }),
  closed_book_template_file: path({ doc: "A text file in place of closed_book_template.", default: null }),
  variables: freeKeys({ doc: "Texts of your own: {style} in a template stands for variables.style." }),
  history_template: text({
    doc: "One earlier question with its answer, where a template has {history}.",
    default: "Q: {question}\nA: {answer}\n",
  }),
  history_tokens: integer({
    doc: "What earlier questions may take of the prompt; the oldest are left out.",
    default: 128,
    minimum: 0,
    unit: "tokens",
  }),
  passage_template: text({
    doc: "One passage in the context; {title} and {text} stand for its parts.",
    default: "{title}. {text}",
  }),
  passages: integer({ doc: "How many retrieved passages the context holds (k).", default: 4, minimum: 1, maximum: 1000, unit: "passages" }),
  separator: text({ doc: "Between two passages of the context.", default: "\n" }),
  sentence_filter: section(
    "Shows only the sentences of the passages that are most like the question, in the text's order. Off while both are null.",
    {
      sentences: integer({
        doc: "Most sentences of all passages of a question. null: any number.",
        default: null,
        minimum: 1,
        unit: "sentences",
      }),
      tokens: integer({
        doc: "Most tokens of those sentences; the best one is kept in any case. null: any number.",
        default: null,
        minimum: 1,
        unit: "tokens",
      }),
    },
  ),
  answer_prefix: text({ doc: "Between the answer cue and the answer.", default: " " }),
});

export const index = section("The vectors of the passages and how they are searched.", {
  metric: choice(["inner-product", "cosine", "l2"], {
    doc: "Cosine normalises both sides; l2 ranks by squared distance.",
    default: "inner-product",
  }),
  dtype: choice(["f32", "f16", "bf16"], {
    doc: "How vectors are held while they are searched exactly; the file is f32.",
    default: "f32",
  }),
  faiss: flag({ doc: "Also write FAISS's flat index file, where search is exact.", default: true }),
  factory: text({
    doc: "FAISS's index_factory string, such as IVF1024,Flat or HNSW32: approximate search by libfaiss. null: exact search. A PQ without np trains polysemous codes, for long and of use to ht only.",
    default: null,
    pattern: /^[A-Za-z0-9_,()+.-]{1,200}$/,
    wanted: "an index_factory string, such as IVF1024,Flat",
  }),
  search: text({
    doc: "FAISS's search parameters as its ParameterSpace takes them: nprobe=16,efSearch=64,k_factor_rf=4. Empty: FAISS's own (nprobe 1, efSearch 16, k_factor_rf 1). May change without a new index.",
    default: "",
    pattern: /^([A-Za-z_]+=\d{1,10}(,[A-Za-z_]+=\d{1,10})*)?$/,
    wanted: "name=number, parted by commas",
  }),
  build: text({
    doc: "Parameters set before vectors are added: efConstruction=80. Empty: FAISS's own (efConstruction 40).",
    default: "",
    pattern: /^([A-Za-z_]+=\d{1,10}(,[A-Za-z_]+=\d{1,10})*)?$/,
    wanted: "name=number, parted by commas",
  }),
  train_sample: integer({
    doc: "Most vectors that FAISS is trained on, drawn by sample_seed. null: 256 a centroid, which is all that FAISS uses, and at least 65,536.",
    default: null,
    minimum: 1,
    maximum: 2 ** 31 - 1,
    unit: "vectors",
  }),
  sample_seed: integer({ doc: "Seed of that sample.", default: 0, minimum: 0, maximum: 2 ** 32 - 1 }),
  threads: integer({ doc: "Threads of FAISS. null: as many as the arithmetic has (threads).", default: null, minimum: 1, maximum: 4096 }),
  reproducible: flag({
    doc: "Build graphs (HNSW, NSG) with one thread, the same at every build. false: with all threads, never the same twice.",
    default: true,
  }),
});
