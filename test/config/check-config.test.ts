/**
 * Proves that keys which contradict each other are refused before anything runs, naming the key and who set it, and that doubtful ones warn.
 * Alone: npx vitest run test/config/check-config.test.ts
 */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { configFolder } from "./config-folder.js";
import { userErrorOf } from "./user-error.js";

const load = (...overrides: string[]) => loadConfig({ configDir: configFolder({ config: "" }), overrides });
const refusal = (...overrides: string[]): string => userErrorOf(() => load(...overrides));

/** A model folder of which only config.json is there. */
function modelFolder(config: string): string {
  const folder = path.join(configFolder({}), "model");
  mkdirSync(folder);
  writeFileSync(path.join(folder, "config.json"), config);
  return folder;
}

describe("lengths", () => {
  it("cozyrag 40: an input longer than the model's positions is refused", () => {
    expect(refusal("generator.max_tokens=600")).toBe(
      "override 1 'generator.max_tokens=600': 'generator.max_tokens' is 600, but the model has 512 positions; set it to at most 512",
    );
    expect(refusal("retriever.max_tokens=513")).toContain("the model has 512 positions");
  });

  it("cozyrag 40: the positions of a model from a folder count, whatever its family calls them", () => {
    const gpt2 = modelFolder('{"model_type": "gpt2", "n_positions": 1024}');
    expect(refusal(`generator.path=${gpt2}`, "generator.max_tokens=1025")).toContain("the model has 1024 positions");
    expect(load(`generator.path=${gpt2}`, "generator.max_tokens=1024").config.generator.max_tokens).toBe(1024);
    const bert = modelFolder('{"model_type": "bert", "max_position_embeddings": 300}');
    expect(refusal(`retriever.path=${bert}`, "retriever.max_tokens=301")).toContain("the model has 300 positions");
  });

  it.each(["not json", "null", "{}", '{"n_positions": "many"}'])("a folder with config.json %s is left to the loader", (config) => {
    expect(load(`generator.path=${modelFolder(config)}`, "generator.max_tokens=5000").config.generator.max_tokens).toBe(5000);
  });

  it("cozyrag 40: an answer that leaves no room for the prompt is refused", () => {
    expect(refusal("generator.max_tokens=64", "eval.max_new_tokens=64")).toContain(
      "leaves nothing of the generator's 64 tokens for the prompt",
    );
  });

  it("passages longer than the retriever reads warn", () => {
    expect(load("retriever.max_tokens=128", "data.corpus.max_tokens=256").warnings.join()).toContain("the retriever reads only 128 tokens");
    expect(load("retriever.max_tokens=256", "data.corpus.max_tokens=256").warnings).toEqual([]);
  });
});

describe("penalties", () => {
  it("warns of more workers than a batch has questions, in phases that run", () => {
    const warnings = (...words: string[]): string => load("train.workers=4", ...words).warnings.join("\n");
    expect(warnings("train.contrastive.batch=3", "train.contrastive.hard_negatives=0")).toContain(
      "'train.contrastive.batch' is 3: of 4 workers some have nothing to do in its steps",
    );
    expect(warnings("train.contrastive.batch=3", "train.contrastive.hard_negatives=1")).not.toContain("nothing to do");
    expect(warnings("train.contrastive.batch=4", "train.contrastive.hard_negatives=0")).not.toContain("nothing to do");
    expect(warnings("train.schedule=[{phase: generator, steps: 2, with: {batch: 2, accumulate: 1}}]")).toContain(
      "makes 'train.generator.batch' one that is 2: of 4 workers some have nothing to do",
    );
    expect(warnings("train.reader.batch=2")).not.toContain("nothing to do");
  });

  it("cozyrag 22: the keyword penalty needs a direction, there is no default", () => {
    expect(refusal("train.penalties.keyword.weight=0.1")).toContain(
      "choose coverage (punish missing keywords) or overlap (punish copied ones)",
    );
    for (const direction of ["coverage", "overlap"]) {
      const { config } = load("train.penalties.keyword.weight=0.1", `train.penalties.keyword.direction=${direction}`);
      expect(config.train.penalties.keyword.direction).toBe(direction);
    }
    expect(load().config.train.penalties.keyword.direction).toBeNull();
  });

  it("cozyrag 23: a short-answer length above 1 warns that shorter gold answers count as they are", () => {
    const key = "train.penalties.short_answer";
    expect(load(`${key}.weight=0.1`, `${key}.min_tokens=4`).warnings.join()).toContain(
      "asks for 4 tokens; for shorter gold answers their own length counts",
    );
    expect(load(`${key}.weight=0.1`).warnings).toEqual([]);
    expect(load(`${key}.min_tokens=4`).warnings).toEqual([]);
  });

  it("cozyrag 23: a length that no answer may have is refused", () => {
    const key = "train.penalties.short_answer";
    expect(refusal(`${key}.weight=0.1`, `${key}.min_tokens=40`)).toContain("more than eval.max_new_tokens (32)");
  });

  it("an n-gram longer than any answer warns", () => {
    const key = "train.penalties.ngram_repeat";
    expect(load(`${key}.weight=0.1`, `${key}.n=32`).warnings.join()).toContain("no answer is long enough");
  });
});

describe("the schedule", () => {
  it.each([
    ["train.schedule=[]", "'train.schedule' trains nothing"],
    ["train.schedule=[{phase: refresh}]", "'train.schedule' trains nothing"],
    [
      "train.schedule=[{phase: generator}]",
      "'train.schedule.0' has no length: the generator phase needs steps, epochs or minutes; give it one",
    ],
    [
      "train.schedule=[{phase: generator, steps: 1}, {phase: refresh, steps: 2}]",
      "'train.schedule.1.steps' is set, but a refresh takes no steps",
    ],
    ["train.schedule=[{phase: contrastive, steps: 1, contexts: gold}]", "'train.schedule.0.contexts' means nothing in a contrastive phase"],
  ])("%s is refused", (override, line) => {
    expect(refusal(override)).toContain(`override 1 '${override}': ${line}`);
  });

  it.each(["generator", "contrastive"])("with fewer %s steps than their warm-up is refused, before any data is read", (kind) => {
    const words = [`train.schedule=[{phase: ${kind}, steps: 4}, {phase: ${kind}, steps: 5}]`, `train.${kind}.warmup=10`];
    expect(refusal(...words)).toContain(`override 2 '${words[1] ?? ""}': 'train.${kind}.warmup' is 10 of the schedule's 9 ${kind} steps`);
    expect(load(words[0] ?? "", `train.${kind}.warmup=9`, "train.generator.contexts=gold").config.train.schedule).toHaveLength(2);
  });
});

describe("other contradictions", () => {
  it.each([
    ["retriever.initialise.width=130", "is 130, not a multiple of retriever.initialise.heads (4); set it to 132"],
    ["generator.initialise.heads=3", "is 128, not a multiple of generator.initialise.heads (3)"],
    ["train.generator.batch=null", "is null, and so is batch_tokens"],
    ["train.generator.batch_tokens=2048", "is set beside train.generator.batch (4); set train.generator.batch=null"],
    ["train.generator.accumulate=5", "is more than the batch of 4"],
    ["train.contrastive.accumulate=65", "is more than the batch of 64"],
    ["train.contrastive.hard_negatives=60", "leaves 50 ranks for 60 hard negatives; raise it to at least 60"],
    ["data.questions.split.valid=0.95", "and test take 1.05 of the documents"],
    ["train.checkpoint.metric=recall@7", "is recall@7, which eval.recall_at (1, 5, 10) doesn't measure"],
    ["eval.rows=[bm25,bm25]", "names a row twice"],
    ["train.generator.curriculum.share=1", "full contexts would never be seen"],
  ])("%s is refused", (override, line) => {
    expect(refusal(override)).toContain(line);
  });

  it("dimensions that the embeddings don't have are refused before a corpus is read, for a model from scratch and for a folder's", () => {
    const names = "train.contrastive.matryoshka=[16,64]";
    expect(refusal("retriever.initialise.width=32", names)).toBe(
      `override 2 '${names}': 'train.contrastive.matryoshka' names 64 dimensions, but the retriever's embeddings have 32; name at most 32`,
    );
    expect(load("retriever.initialise.width=64", names).config.train.contrastive.matryoshka).toEqual([16, 64]);
    const bert = `retriever.path=${modelFolder('{"model_type": "bert", "hidden_size": 48}')}`;
    expect(refusal(bert, names)).toContain("the retriever's embeddings have 48");
    expect(load(bert, "train.contrastive.matryoshka=[48]").config.train.contrastive.matryoshka).toEqual([48]);
    expect(load(`retriever.path=${modelFolder("{}")}`, names).config.train.contrastive.matryoshka).toEqual([16, 64]);
    expect(refusal("retriever.initialise.width=32", "train.schedule=[{phase: contrastive, steps: 1, with: {matryoshka: [64]}}]")).toContain(
      "'train.schedule.0.with' makes 'train.contrastive.matryoshka' one that names 64 dimensions",
    );
    expect(load("retriever.initialise.width=32", names, "train.schedule=[{phase: generator, steps: 1}]").warnings).toEqual([]);
  });

  it("a folder's model isn't measured by initialise", () => {
    expect(load("retriever.path=./anywhere", "retriever.initialise.width=130").config.retriever.path).toBe(path.resolve("anywhere"));
  });
});

describe("several contradictions", () => {
  it("are counted where only the first is named", () => {
    expect(refusal("train.generator.accumulate=5", "train.contrastive.accumulate=65", "eval.rows=[bm25,bm25]")).toBe(
      "override 1 'train.generator.accumulate=5': 'train.generator.accumulate' is more than the batch of 4; set it to at most 4 (2 more after this one)",
    );
  });
});

describe("generation", () => {
  it.each([
    ["generation.temperature=0.6", "sample", "greedy"],
    ["generation.top_k=70", "sample", "greedy"],
    ["generation.top_p=0.95", "sample", "greedy"],
    ["generation.seed=3", "sample", "greedy"],
    ["generation.beams=4", "beam", "greedy"],
    ["generation.length_penalty=2", "beam", "greedy"],
    ["generation.early_stopping=never", "beam", "greedy"],
  ])("%s without its strategy is refused, not ignored", (word, owner, other) => {
    const key = word.slice(0, word.indexOf("="));
    expect(refusal(word)).toBe(
      `override 1 '${word}': '${key}' is set, but generation.strategy is ${other}; set generation.strategy=${owner}, or ${key}=null`,
    );
    expect(refusal(word, `generation.strategy=${owner === "beam" ? "sample" : "beam"}`)).toContain(`'${key}' is set, but`);
    expect(load(word, `generation.strategy=${owner}`).config.generation.strategy).toBe(owner);
  });

  it("more answers than the strategy has are refused", () => {
    expect(refusal("generation.answers=2")).toContain("greedy decoding has one answer; set generation.strategy=sample or beam");
    expect(refusal("generation.strategy=beam", "generation.answers=5")).toContain("is 5, more than generation.beams (4)");
    expect(load("generation.strategy=beam", "generation.beams=5", "generation.answers=5").config.generation.answers).toBe(5);
    expect(load("generation.strategy=sample", "generation.answers=9").config.generation.answers).toBe(9);
  });

  it.each([
    ["generation.strategy=nucleus", "one of greedy, sample, beam"],
    ["generation.temperature=0", "in (0, 100]"],
    ["generation.top_p=1.2", "(0, 1]"],
    ["generation.top_k=0", "≥ 1"],
    ["generation.beams=1", "in [2"],
    ["generation.repetition_penalty=0", "(0"],
    ["generation.no_repeat_ngram_size=-1", "in [0"],
    ["generation.stop=['']", "text that isn't empty"],
  ])("%s is out of its range", (word, expected) => {
    expect(refusal(word)).toContain(expected);
  });

  it("fewer rows than beams warn", () => {
    expect(load("generation.strategy=beam", "generation.beams=8", "eval.batch=4").warnings.join()).toContain(
      "one question is decoded at a time",
    );
  });
});
