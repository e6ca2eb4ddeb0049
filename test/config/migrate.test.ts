/**
 * Proves that CoZyRAG's config becomes one of ours: every key of it is mapped, changed with its reason, or dropped with its reason, and what it leaves out is as in CoZyRAG's code; the result passes `tandem config check` alone and as an experiment; unknown
 * keys are named; hostile files are refused in one line. Alone: npx vitest run test/config/migrate.test.ts
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { parse } from "yaml";
import { describe, expect, it } from "vitest";
import { optionsForFile } from "../../src/config/config-file.js";
import { findFaults, loadConfig } from "../../src/config/load-config.js";
import { migrateFile } from "../../src/config/migrate.js";
import { UserError } from "../../src/errors.js";
import { configFolder } from "./config-folder.js";
import { userErrorOf } from "./user-error.js";

const SHIPPED = path.join(import.meta.dirname, "../fixtures/cozyrag/config.yaml");

function migrated(old: string): { text: string; unknown: readonly string[]; file: string } {
  const folder = configFolder({ old });
  const result = migrateFile(path.join(folder, "old.yaml"), 1000);
  return { ...result, file: path.join(configFolder({ "experiment/cozyrag": result.text, alone: result.text }), "experiment/cozyrag.yaml") };
}

describe("the shipped config", () => {
  const { text, unknown, file } = (() => {
    const result = migrateFile(SHIPPED, 1000);
    return { ...result, file: result.text };
  })();

  it("cozyrag 2, 3: keeps what can be kept, 5e-5 as a number however it is written", () => {
    const { config } = loadConfig({ base: path.join(configFolder({ alone: file }), "alone.yaml"), environment: {} });
    expect(config.train.generator).toMatchObject({ lr: 5e-5, batch: 4 });
    expect(config.train.contrastive).toMatchObject({ lr: 5e-5, temperature: 0.1, positives: "answer" });
    expect(config.prompt.passages).toBe(4);
    expect(config.data.corpus.path).toBe(path.resolve("wiki_passages.jsonl"));
    expect(config.data.questions.train).toBe(path.resolve("qa.txt"));
    expect(config.run.dir).toBe(path.resolve("fine_tuned_model"));
    expect(config.generator.max_tokens).toBe(384);
    expect(unknown).toEqual([]);
  });

  it("cozyrag 20, 22, 23, 25: changes what drowned the loss, and says why above the line", () => {
    const lines = text.split("\n").map((line) => line.trim());
    const reasonOf = (line: string, after: string): string => lines[lines.indexOf(line, lines.indexOf(after)) - 1] ?? "";
    expect(reasonOf("weight: 0.1", "keyword:")).toMatch(/# was 4: CoZyRAG's penalties had no gradient/);
    expect(reasonOf("direction: coverage", "keyword:")).toMatch(/opposite of what its README says/);
    expect(reasonOf("weight: 0.05", "short_answer:")).toMatch(/# was 5/);
    expect(reasonOf("min_tokens: 2", "short_answer:")).toMatch(/min_words 4/);
    expect(reasonOf("batch: 32", "contrastive:")).toMatch(/3 negatives/);
  });

  it("cozyrag 27: makes steps of epochs, with a refresh after each retriever phase", () => {
    const { train } = parse(text) as { train: { schedule: { phase: string; steps?: number }[] } };
    // 30 epochs of 250 updates for the generator, 30 of 32 for the retriever, in two rounds.
    expect(train.schedule.map(({ phase, steps }) => [phase, steps])).toEqual([
      ["refresh", undefined],
      ["generator", 3750],
      ["contrastive", 480],
      ["refresh", undefined],
      ["generator", 3750],
      ["contrastive", 480],
      ["refresh", undefined],
    ]);
  });

  it("cozyrag 3: names every key of the old config in what it says", () => {
    const keys = [...readFileSync(SHIPPED, "utf8").matchAll(/([a-z_]+):/g)].map((match) => match[1] ?? "");
    expect(keys.length).toBeGreaterThan(25);
    const mapped = new Set(["penalties", "ngram_repeat", "keyword_overlap", "short_answer", "n", "weight"]);
    for (const key of keys) if (!mapped.has(key)) expect(text, key).toContain(key);
    for (const section of ["ngram_repeat", "keyword", "short_answer"]) expect(text).toContain(`    ${section}:\n`);
  });

  it("keeps the validation questions as commands", () => {
    expect(text).toContain(`# tandem ask <run> 'Who wrote "Faust"?'`);
  });
});

describe("a migrated config", () => {
  it.each([
    ["the shipped one", readFileSync(SHIPPED, "utf8")],
    ["one key", "qa_path: a.txt\nwiki_passages_path: b.jsonl\n"],
    ["quoted numbers", 'qa_path: "7"\nwiki_passages_path: "1_000"\noutput_dir: "2024"\nmodel_name: "null"\n'],
    ["line breaks in text", 'qa_path: "line\\nbreak"\nwiki_passages_path: "a: b\\n # c"\nmodel_name: "./x\\ny"\n'],
    ["other models", "qa_path: a\nwiki_passages_path: b\nmodel_name: ./gpt\nretriever_model_name: org/other\n"],
    ["references in text", "qa_path: 'a${b}'\nwiki_passages_path: b\noutput_dir: '${x}'\n"],
    ["a long window", "qa_path: a\nwiki_passages_path: b\nmax_length: 2000\nbatch_size: 1\nnum_train_epochs: 1\n"],
  ])("passes the check alone and as an experiment: %s", (_, old) => {
    const { file } = migrated(old);
    expect(findFaults({ ...optionsForFile(file), environment: {} }).faults).toEqual([]);
    expect(findFaults({ ...optionsForFile(path.join(path.dirname(file), "../alone.yaml")), environment: {} }).faults).toEqual([]);
  });

  it("asks for the paths that the old one left out", () => {
    const { file } = migrated("top_k: 2\n");
    expect(findFaults({ ...optionsForFile(file), environment: {} }).faults.map(({ what }) => what)).toEqual([
      expect.stringContaining("'data.corpus.path' must be given"),
      expect.stringContaining("'data.questions.train' must be given"),
    ]);
  });

  it("keeps quoted text as text: it is no number and no null", () => {
    const { text } = migrated('qa_path: "7"\nwiki_passages_path: "1_000"\noutput_dir: "2024"\nmodel_name: "null"\n');
    const { config } = loadConfig({ base: path.join(configFolder({ alone: text }), "alone.yaml"), environment: {} });
    expect(config.run.dir).toBe(path.resolve("2024"));
    expect([config.data.questions.train, config.data.corpus.path]).toEqual([path.resolve("7"), path.resolve("1_000")]);
    expect(config.generator.path).toBe("null");
  });

  it("keeps a question whole where it is pasted into a shell, and does nothing else there", () => {
    const question = 'It\'s $(touch x) `id` "y" \\ !';
    const { text } = migrated(`qa_path: a\nvalidation_questions:\n  - ${JSON.stringify(question)}\n  - "two\\nlines\\u2028\\a"\n`);
    const [first = "", second] = [...text.matchAll(/^# tandem ask <run> (.*)$/gm)].map((match) => match[1]);
    expect(execFileSync("sh", ["-c", `printf %s ${first}`], { encoding: "utf8" })).toBe(question);
    expect(second).toBe("'two lines \\u0007'");
  });

  it("names models as the hub does, folders as folders", () => {
    const pathsOf = (old: string): unknown[] => {
      const { retriever, generator } = parse(migrated(`qa_path: a\n${old}`).text) as Record<string, { path: string }>;
      return [retriever?.path, generator?.path];
    };
    expect(pathsOf("")).toEqual(["sentence-transformers/all-MiniLM-L6-v2", "distilgpt2"]);
    expect(pathsOf("model_name: org/gpt\nretriever_model_name: org/other\n")).toEqual(["org/other", "org/gpt"]);
    // SentenceTransformer puts its own organisation before a bare name.
    expect(pathsOf("retriever_model_name: all-MiniLM-L12-v2\n")[0]).toBe("sentence-transformers/all-MiniLM-L12-v2");
    expect(pathsOf("retriever_model_name: bert-base-uncased\n")[0]).toBe("bert-base-uncased");
    expect(pathsOf("model_name: ../gpt\nretriever_model_name: /a/b${c}\n")).toEqual(["/a/b\\${c}", "../gpt"]);
  });

  it.each([
    ["left out", ""],
    ["null", "batch_size: null\nnum_train_epochs: null\nmax_length: null\npenalties: null\ntop_k: null\n"],
  ])("has CoZyRAG's own defaults for what is %s, and says so", (_, old) => {
    const { text } = migrated(`qa_path: a\nwiki_passages_path: b\n${old}`);
    const made = parse(text) as { train: Record<string, Record<string, unknown>> } & Record<string, Record<string, unknown>>;
    expect(made.train.generator).toMatchObject({ batch: 4, lr: 5e-5 });
    expect(made.generator?.max_tokens).toBe(512);
    expect(made.prompt?.passages).toBe(1);
    expect(made.train.penalties).toMatchObject({
      ngram_repeat: { n: 3, weight: 0.1 },
      keyword: { direction: "coverage", weight: 0.1 },
      short_answer: { min_tokens: 2, weight: 0.01 },
    });
    // 60 epochs over 1000 questions, as in the shipped config.
    expect(made.train.schedule).toMatchObject([{}, { steps: 3750 }, { steps: 480 }, {}, {}, {}, {}]);
    const lines = text.split("\n").map((line) => line.trim());
    for (const key of ["batch_size", "num_train_epochs", "max_length", "top_k", "learning_rate_gpt", "learning_rate_retriever"])
      expect(
        lines.some((line) => line.startsWith(`# ${key} was not given: CoZyRAG's default`)),
        key,
      ).toBe(true);
    expect(text).toMatch(/# penalties\.keyword_overlap\.weight was not given: CoZyRAG's default, 0\.4, .*gradient/);
    expect(text).toMatch(/# penalties\.short_answer\.weight was not given: CoZyRAG's default/);
  });

  it("names the keys that CoZyRAG didn't know either", () => {
    const { unknown, text } = migrated("qa_path: a\nlerning_rate: 1\npenalties:\n  length: {weight: 1}\n");
    expect(unknown).toEqual([expect.stringMatching(/^lerning_rate \(.*old\.yaml:2\)$/), expect.stringMatching(/^penalties\.length \(/)]);
    expect(text).toMatch(/# lerning_rate .* is unknown/);
  });
});

describe("hostile values", () => {
  it("a key with a line break stays in its comment", () => {
    const { text, unknown } = migrated('qa_path: a\n"evil\\nseed: 77\\r\\u2028x": 1\n');
    expect(parse(text)).not.toHaveProperty("seed");
    expect(text).toContain("# evil\\nseed: 77\\r\\u2028x (");
    expect(unknown.join("")).not.toMatch(/[\n\r\u2028]/);
  });

  it("what migrates passes the check, or is refused in one line", () => {
    const words = fc.constantFrom(
      ...["7", "null", "~/x", "a: b", "- c", "x\ny", " z ", "${seed}", "\\${", "#", "!", "'", '"', "1_000", "\u0085", "\ud800", "\u2028"],
    );
    const text = fc.oneof(
      { weight: 6, arbitrary: words },
      { weight: 6, arbitrary: fc.string({ unit: "grapheme", minLength: 1 }) },
      { weight: 6, arbitrary: fc.array(words, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("")) },
      { weight: 1, arbitrary: fc.constantFrom("\0", "???", "") },
    );
    const number = fc.oneof(
      { weight: 20, arbitrary: fc.constantFrom(16, 20, 1000, "64", null) },
      { weight: 1, arbitrary: fc.oneof(fc.double(), fc.constantFrom(-1, 0, 1e9, 2 ** 53, "many", "", "null", true)) },
    );
    const rate = fc.constantFrom(5e-5, "5e-5", 1, null);
    const old = fc.record(
      {
        qa_path: text,
        wiki_passages_path: text,
        model_name: text,
        retriever_model_name: text,
        output_dir: text,
        batch_size: number,
        num_train_epochs: number,
        top_k: number,
        max_length: number,
        learning_rate_gpt: rate,
        learning_rate_retriever: rate,
        validation_questions: fc.array(text),
        penalties: fc.record(
          { ngram_repeat: fc.record({ n: number, weight: number }), short_answer: fc.record({ min_words: number }) },
          { requiredKeys: [] },
        ),
        "a\nb": text,
      },
      { requiredKeys: ["qa_path", "wiki_passages_path"] },
    );
    const folder = configFolder({});
    const [from, to] = [path.join(folder, "old.yaml"), path.join(folder, "new.yaml")];
    const seen = { made: 0, refused: 0 };
    fc.assert(
      fc.property(old, fc.option(text, { nil: undefined }), fc.constantFrom(undefined, 1, 1000, 1e9), (values, key, questions) => {
        writeFileSync(
          from,
          JSON.stringify({ ...values, ...(key === undefined || key.includes(".") || key === "defaults" ? {} : { [key]: 1 }) }),
        );
        let made: string;
        try {
          made = migrateFile(from, questions).text;
        } catch (error) {
          expect(error, String((error as Error).stack)).toBeInstanceOf(UserError);
          expect((error as Error).message).not.toContain("\n");
          seen.refused += 1;
          return;
        }
        seen.made += 1;
        writeFileSync(to, made);
        expect(findFaults({ base: to, environment: {} }).faults, made).toEqual([]);
        const { config } = loadConfig({ base: to, environment: {} });
        expect(config.name, made).toBe("cozyrag");
        expect(config.seed).toBe(0);
        const absolute = path.resolve(values.qa_path.replace(/^~(?=\/|$)/, homedir()));
        expect(config.data.questions.train).toBe(absolute);
      }),
      { numRuns: 200 },
    );
    expect(Math.min(seen.made, seen.refused)).toBeGreaterThan(20);
  });
});

describe("a file that is none", () => {
  it.each([
    ["another program's", "a: 1\nb: 2\n", /no key of CoZyRAG's/],
    ["empty", "", /no key of CoZyRAG's/],
    ["cut off", "qa_path: 'a", /not YAML/],
    ["a list", "- qa_path\n", /not a map/],
    ["a text for a number", "qa_path: a\ntop_k: many\n", /old\.yaml:2: 'top_k' has a wrong value; expected a whole number/],
    ["a number for a text", "qa_path: 3\n", /'qa_path' has a wrong value; expected text, got 3/],
    [
      "more passages than a prompt may hold",
      "qa_path: a\ntop_k: 1000000000\n",
      /old\.yaml:2: 'top_k' has a wrong value; expected a whole number in \[1, 1000\]/,
    ],
    ["quoted null for a number", 'qa_path: a\ntop_k: "null"\n', /'top_k' has a wrong value/],
    ["a path with a NUL", 'qa_path: "a\\0"\n', /'qa_path' has a wrong value/],
    ["a negative rate", "learning_rate_gpt: -1\n", /'learning_rate_gpt' has a wrong value/],
    ["a value for a section", "qa_path: a\npenalties: 3\n", /'penalties' is a section/],
    ["not UTF-8", Buffer.from([0x71, 0xff, 0xfe]), /old\.yaml/],
  ])("is refused in one line: %s", (_, content, pattern) => {
    const folder = configFolder({ old: content });
    expect(userErrorOf(() => migrateFile(path.join(folder, "old.yaml")))).toMatch(pattern);
  });
});
