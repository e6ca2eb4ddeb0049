/**
 * The configuration schema: the one home of keys, defaults, docs, units, ranges and TypeScript types. `tandem config schema` prints it. It
 * isn't where values are composed from files: compose.ts does that. The trap: a default here is what a key has when no file of `conf/` sets it,
 * so a default that stands in both places must be mended in both; leave it to the schema.
 */
import { evaluation } from "./schema-eval.js";
import { data } from "./schema-data.js";
import { generation } from "./schema-generation.js";
import { generator, index, prompt, retriever } from "./schema-model.js";
import { tracking } from "./schema-tracking.js";
import { train } from "./schema-train.js";
import { choice, type ConfigOf, freeKeys, integer, path, section, text } from "./leaf.js";

export const schema = section("The whole configuration.", {
  name: text({
    doc: "Name of the run; part of its folder's name.",
    default: "run",
    pattern: /^[A-Za-z0-9][A-Za-z0-9._-]*$/,
    wanted: "letters, digits, dots, dashes and underscores",
  }),
  seed: integer({ doc: "Seed of everything that is drawn.", default: 0, minimum: 0, maximum: 2 ** 32 - 1 }),
  device: text({
    doc: "cpu, cuda:N or auto (a GPU for each worker of a machine, in turn where there are fewer; else the processor).",
    default: "auto",
    pattern: /^(auto|cpu|cuda:\d{1,3})$/,
    wanted: "cpu, cuda:N or auto",
  }),
  threads: integer({
    doc: "Threads of the arithmetic, of each worker. null: one a physical core, divided among the workers of a machine.",
    default: null,
    minimum: 1,
    maximum: 4096,
  }),
  precision: choice(["auto", "f32", "bf16"], {
    doc: "Arithmetic of the models; auto is bf16 where the processor or GPU is fast at it.",
    default: "auto",
  }),
  run: section("Where runs are kept.", {
    dir: path({ doc: "Each run gets a folder <time>-<name> in this one.", default: "runs" }),
  }),
  resume: path({
    doc: "auto: the last run of this name unless it is finished; or a run's folder. null: a new run.",
    default: null,
    words: ["auto"],
  }),
  vars: freeKeys({ doc: "Keys of your own that other keys refer to: width: ${vars.width}." }),
  data,
  retriever,
  generator,
  prompt,
  generation,
  index,
  train,
  eval: evaluation,
  tracking,
});

/** The resolved configuration, complete and checked. Parts receive their own section, never the whole. */
export type TandemConfig = ConfigOf<typeof schema>;
export type DataConfig = TandemConfig["data"];
export type RetrieverConfig = TandemConfig["retriever"];
export type GeneratorConfig = TandemConfig["generator"];
export type PromptConfig = TandemConfig["prompt"];
export type GenerationConfig = TandemConfig["generation"];
export type IndexConfig = TandemConfig["index"];
export type TrackingConfig = TandemConfig["tracking"];
