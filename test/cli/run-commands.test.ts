/**
 * Proves what the commands that use a finished run print, as text and as JSON, for one question and many, and how they refuse what they can't use.
 * What a pair finds and answers is open-pair.test.ts's. Alone: npx vitest run test/cli/run-commands.test.ts
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { command as ask } from "../../src/cli/ask.js";
import { command as corpus } from "../../src/cli/corpus.js";
import { command as evaluate } from "../../src/cli/eval.js";
import { command as index } from "../../src/cli/index.js";
import { command as search } from "../../src/cli/search.js";
import type { RunReport } from "../../src/report/report-text.js";
import { faultOf } from "../job/fault-of.js";
import { ARTICLES, idOf, jsonLines, trainedWorld, type World } from "../job/trained-run.js";
import { captured } from "./captured.js";

let world: World;
beforeAll(async () => {
  world = await trainedWorld();
}, 300_000);
afterAll(() => {
  world.remove();
});

const file = (name: string, text: string): string => {
  const full = path.join(world.folder, name);
  writeFileSync(full, text);
  return full;
};
const linesOf = (text: string): unknown[] =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
const [first] = ARTICLES;
const firstText = `${first?.title ?? ""}. ${first?.text ?? ""}`;

interface Found {
  readonly id?: string;
  readonly question: string;
  readonly answer?: string;
  readonly gold?: string[];
  readonly hits: { rank: number; score: number; id: string; title: string; text: string }[];
  readonly passages: Found["hits"];
}

describe("tandem search", () => {
  it("prints rank, score, title and id, and the passage below", async () => {
    const { out, error } = await captured(search, ["search", world.run, firstText, "-k", "2"]);
    expect(error).toBe("");
    const lines = out.trimEnd().split("\n");
    expect(lines).toHaveLength(4);
    expect(lines[0]).toBe(`   1  1.0000  ${first?.title ?? ""}  [${idOf(first ?? { id: "", title: "", text: "" })}]`);
    expect(lines[1]).toBe(`      ${first?.text ?? ""}`);
  });

  it("prints one JSON object a question, in the order of words, then file", async () => {
    const questions = file("questions.jsonl", jsonLines([{ id: "a", question: "Who rules?" }, { question: "What is sold?" }]));
    const { out } = await captured(search, ["search", world.run, "Which river?", "--questions", questions, "-k", "3", "--json"]);
    const found = linesOf(out) as Found[];
    expect(found.map(({ id, question }) => [id, question])).toEqual([
      [undefined, "Which river?"],
      ["a", "Who rules?"],
      [undefined, "What is sold?"],
    ]);
    for (const { hits } of found) {
      expect(hits).toHaveLength(3);
      expect(hits[0]).toMatchObject({ rank: 1, title: expect.any(String) as string, text: expect.any(String) as string });
    }
  });

  it("warns of a k above the corpus and of a question that is cut, and goes on", async () => {
    const { out, error } = await captured(search, ["search", world.run, `Who ${"is the mayor ".repeat(200)}`, "-k", "99", "--json"]);
    expect(error).toMatch(/^warning: k is 99, but the corpus has 30 passages/);
    expect(error).toMatch(/warning: the question "Who .*…" is longer than the 128 tokens that the retriever reads/);
    expect((linesOf(out) as Found[])[0]?.hits).toHaveLength(30);
  });

  it.each([
    ["an empty question", [" "], /a question is empty/],
    ["k of nothing", ["Who?", "-k", "0"], /^-k: is no number of passages/],
    ["half a passage", ["Who?", "-k", "1.5"], /^-k: is no number of passages/],
    ["a word for a number", ["Who?", "-k", "many"], /^-k: is no number of passages.*got NaN/],
    ["a file that isn't there", ["--questions", "/nowhere/q.txt"], /\/nowhere\/q\.txt/],
  ])("refuses %s", async (_, words, expected) => {
    expect(await faultOf(() => captured(search, ["search", world.run, ...words]))).toMatch(expected);
  });
});

describe("tandem ask", () => {
  it("prints question, answer and passages", async () => {
    const { out } = await captured(ask, ["ask", world.run, "Who is the mayor?"]);
    const lines = out.split("\n");
    expect(lines[0]).toBe("Q: Who is the mayor?");
    expect(lines[1]).toMatch(/^A: /);
    expect(lines[2]).toMatch(/^ {3}1 {2}-?\d\.\d{4} {2}\S.* {2}\[[0-9a-f]{32}\]$/);
    expect(lines[4]).toMatch(/^ {3}2 /);
  });

  it("prints JSON with the gold answers of the file", async () => {
    const questions = file("asked.tsv", "Who is the mayor?\tNobody\nWho else?\tAnybody\n");
    const { out } = await captured(ask, ["ask", world.run, "--questions", questions, "--json"]);
    const answers = linesOf(out) as Found[];
    expect(answers.map(({ question, gold }) => [question, gold])).toEqual([
      ["Who is the mayor?", ["Nobody"]],
      ["Who else?", ["Anybody"]],
    ]);
    for (const { answer, passages } of answers) {
      expect(typeof answer).toBe("string");
      expect(passages.map(({ rank }) => rank)).toEqual([1, 2]);
    }
  });

  it("answers without passages when told so", async () => {
    const { out } = await captured(ask, ["ask", world.run, "Who is the mayor?", "--no-retrieval", "--json"]);
    expect((linesOf(out) as Found[])[0]?.passages).toEqual([]);
  });

  it("refuses a question that the generator can't read whole", async () => {
    expect(await faultOf(() => captured(ask, ["ask", world.run, "town ".repeat(2000)]))).toMatch(/doesn't fit the prompt/);
  });
});

describe("tandem index", () => {
  it("verifies a run's index, rebuilds it when told so, and says which", async () => {
    const verified = await captured(index, ["index", "--run", world.run]);
    expect(verified.out).toMatch(/^verified: .*index\/[0-9a-f]{16} \(30 passages, 16 dimensions, inner-product, /);
    const rebuilt = await captured(index, ["index", "--run", world.run, "--rebuild", "--json", "--quiet"]);
    expect(JSON.parse(rebuilt.out)).toMatchObject({ outcome: "rebuilt", provenance: { size: 30, dimension: 16 } });
    expect(rebuilt.error).toBe("");
  });

  it("builds one for any retriever over any store; refuses another retriever's, and the command that it names mends it", async () => {
    const output = path.join(world.folder, "own index");
    const folders = (retriever: string): string[] => [
      "index",
      "--retriever",
      retriever,
      "--corpus",
      path.join(world.run, "corpus"),
      "--output",
      output,
      "--quiet",
    ];
    expect((await captured(index, folders(path.join(world.run, "retriever")))).out).toMatch(/^built: /);
    expect(readdirSync(output).sort()).toEqual(["flat.faiss", "provenance.json", "vectors.npy"]);
    const start = path.join(world.run, "start", "retriever");
    const fault = await faultOf(() => captured(index, folders(start)));
    expect(fault).toMatch(/was built with another retriever: it is stale/);
    const [, command = ""] = /rebuild it: tandem (index .*)$/.exec(fault) ?? [];
    const words = (command.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replaceAll("'", ""));
    expect((await captured(index, words)).out).toMatch(/^rebuilt: /);
    expect((await captured(index, folders(start))).out).toMatch(/^verified: /);
  });

  it("finds vectors that were changed behind its back", async () => {
    const output = path.join(world.folder, "changed");
    const words = [
      "index",
      "--retriever",
      path.join(world.run, "retriever"),
      "--corpus",
      path.join(world.run, "corpus"),
      "--output",
      output,
      "--quiet",
    ];
    await captured(index, words);
    const vectors = path.join(output, "vectors.npy");
    const bytes = readFileSync(vectors);
    for (let at = bytes.length - 64; at < bytes.length; at += 4) bytes.writeFloatLE(0.5, at);
    writeFileSync(vectors, bytes);
    expect(await faultOf(() => captured(index, words))).toMatch(/not those of the passages: the file is damaged.*--rebuild$/);
  });

  it.each([
    ["nothing to do", [], /expected --run RUN, or --retriever, --corpus and --output/],
    ["an output that is something else", ["--output", "WORLD"], /is something else than an index.*choose another --output/],
    ["a corpus that isn't there", ["--corpus", "/nowhere"], /\/nowhere\/manifest\.json/],
    ["a retriever that isn't there", ["--retriever", "/nowhere"], /\/nowhere/],
  ])("refuses %s", async (_, words, expected) => {
    const given = new Map([
      ["--retriever", path.join(world.run, "retriever")],
      ["--corpus", path.join(world.run, "corpus")],
      ["--output", path.join(world.folder, "refused")],
    ]);
    const [option, value = ""] = words;
    if (option !== undefined) given.set(option, value.replace("WORLD", world.folder));
    const all = option === undefined ? [] : [...given].flat();
    expect(await faultOf(() => captured(index, ["index", ...all]))).toMatch(expected);
    expect(existsSync(path.join(world.folder, "refused"))).toBe(false);
    expect(existsSync(world.run)).toBe(true);
  });

  it("refuses a key that training has settled", async () => {
    expect(await faultOf(() => captured(index, ["index", "--run", world.run, "train.generator.lr=1"]))).toMatch(
      /'train\.generator\.lr' is settled/,
    );
  });
});

describe("tandem ask, how answers are chosen", () => {
  const answersOf = async (...words: string[]): Promise<string[]> => {
    const longest = words.includes("--max-new-tokens") ? [] : ["--max-new-tokens", "6"];
    const { out } = await captured(ask, ["ask", world.run, "Who is the mayor?", ...longest, ...words, "--json"]);
    return (linesOf(out) as { answer: string; answers: string[] }[]).flatMap(({ answer, answers }) => {
      expect(answer).toBe(answers[0]);
      return answers;
    });
  };

  it("prints several answers as A1, A2 …, and all of them in JSON", async () => {
    const words = ["--strategy", "sample", "--temperature", "2", "--seed", "5", "--answers", "4"];
    const answers = await answersOf(...words);
    expect(answers).toHaveLength(4);
    expect(new Set(answers).size).toBeGreaterThan(1);
    const { out } = await captured(ask, ["ask", world.run, "Who is the mayor?", "--max-new-tokens", "6", ...words]);
    expect(
      out
        .split("\n")
        .slice(1, 5)
        .map((line) => line.slice(0, 4)),
    ).toEqual(["A1: ", "A2: ", "A3: ", "A4: "]);
    expect(await answersOf(...words)).toEqual(answers);
    expect(await answersOf(...words.with(5, "6"))).not.toEqual(answers);
  });

  it("draws a question's answers alike alone and among others", async () => {
    const words = ["--strategy", "sample", "--temperature", "2", "--answers", "2"];
    const questions = file("sampled.txt", "What is sold?\nWho is the mayor?\nWhich river?\n");
    const { out } = await captured(ask, ["ask", world.run, "--questions", questions, "--json", "--max-new-tokens", "6", ...words]);
    expect((linesOf(out) as { answers: string[] }[])[1]?.answers).toEqual(await answersOf(...words));
  });

  it("beams come best first, and the penalties, the longest answer and stop strings count", async () => {
    const beams = await answersOf("--strategy", "beam", "--beams", "5", "--answers", "3");
    expect(beams).toHaveLength(3);
    expect(new Set(beams).size).toBe(3);
    const greedy = await answersOf();
    expect(await answersOf("--strategy", "greedy")).toEqual(greedy);
    expect(await answersOf("--repetition-penalty", "3", "--distinct-ngrams", "2")).not.toEqual(greedy);
    expect((await answersOf("--max-new-tokens", "2"))[0]?.length).toBeLessThan(greedy[0]?.length ?? 0);
    const stop = greedy[0]?.slice(2, 4) ?? "";
    expect(await answersOf("--stop", "never in it", "--stop", stop)).toEqual([greedy[0]?.slice(0, greedy[0].indexOf(stop)).trim()]);
  });

  it.each([
    [
      "a temperature without sampling",
      ["--temperature", "0.6"],
      /^--temperature: '--temperature' is set, but --strategy is greedy; give --strategy sample, or leave --temperature out$/,
    ],
    ["more answers than beams", ["--strategy", "beam", "--beams", "2", "--answers", "3"], /more than --beams \(2\)/],
    ["several greedy answers", ["--answers", "2"], /greedy decoding has one answer/],
    ["a word for a number", ["--strategy", "sample", "--top-p", "much"], /^--top-p: /],
    ["a strategy that isn't there", ["--strategy", "best"], /^--strategy: .*one of greedy, sample, beam/],
    ["an answer that leaves no room", ["--max-new-tokens", "9999"], /--max-new-tokens/],
  ])("refuses %s", async (_, words, expected) => {
    expect(await faultOf(() => captured(ask, ["ask", world.run, "Who?", ...words]))).toMatch(expected);
  });
});

describe("tandem eval", () => {
  const report = (out: string): RunReport => JSON.parse(out) as RunReport;

  it("on the run's own questions gives the run's own figures, and leaves its report alone", async () => {
    const own = readFileSync(path.join(world.run, "report.json"), "utf8");
    const { out } = await captured(evaluate, ["eval", world.run, "--json", "--quiet"]);
    expect(report(out).rows).toEqual((JSON.parse(own) as RunReport).rows);
    expect(readFileSync(path.join(world.run, "report.json"), "utf8")).toBe(own);
    const [folder = ""] = readdirSync(world.run).filter((name) => /^eval-[0-9a-f]{12}$/.test(name));
    expect(readdirSync(path.join(world.run, folder)).sort()).toEqual([
      ...["answers.jsonl", "answers.md", "report.html", "report.json", "report.txt"],
    ]);
    // The page holds nothing of the moment or of the time it took.
    expect(readFileSync(path.join(world.run, folder, "report.html"), "utf8")).toBe(
      readFileSync(path.join(world.run, "report.html"), "utf8"),
    );
  });

  it("on other questions about other passages maps gold ids onto them, builds the index once, and prints all six rows", async () => {
    const passages = file("other.jsonl", jsonLines(ARTICLES.slice(0, 8).map((article, i) => ({ ...article, id: `p${i}` }))));
    const asked = ARTICLES.slice(0, 4).map(({ title }, i) => ({
      id: `o${i}`,
      question: `Who is the mayor of ${title}?`,
      answers: ["x"],
      passage_ids: [`p${i}`],
    }));
    const words = [
      `eval.questions=${file("other-questions.jsonl", jsonLines(asked))}`,
      `eval.passages=${passages}`,
      "eval.rows=[closed-book, random-passage, bm25, base-pair, trained-pair, gold-passage]",
    ];
    const output = path.join(world.folder, "other report");
    const { out, error } = await captured(evaluate, ["eval", world.run, ...words, "--output", output]);
    expect(error).not.toContain("warning");
    expect(out).toMatch(/4 questions of the other-questions\.jsonl split, 8 passages, k = 2/);
    const { rows } = report(readFileSync(path.join(output, "report.json"), "utf8"));
    expect(rows.map(({ name }) => name)).toEqual(["closed-book", "random-passage", "bm25", "base-pair", "trained-pair", "gold-passage"]);
    expect(rows[2]?.recall["1"]).toBe(1);
    expect(rows[4]?.with_gold).toBe(4);
    expect(rows.map(({ against_base: against }) => against?.["em"]?.questions)).toEqual([4, 4, 4, undefined, 4, 4]);
    expect(out).toMatch(/^against base-pair /m);
    const page = readFileSync(path.join(output, "report.html"), "utf8");
    expect(page).toContain("4 questions of the <bdi>other-questions.jsonl</bdi> split, 8 passages");
    expect(page).toContain("eval.rows=[closed-book, random-passage");
    expect(page.match(/<strong>loss\/contrastive<\/strong>/g)).toHaveLength(1);
    const again = await captured(evaluate, ["eval", world.run, ...words, "--output", output]);
    expect(readFileSync(path.join(output, "report.html"), "utf8")).toBe(page);
    expect(again.error).not.toMatch(/embedded|passages from/);
    expect(again.out).toBe(out);
  });

  it("says how answers were chosen, and keeps all of several", async () => {
    expect(readFileSync(path.join(world.run, "report.txt"), "utf8")).toContain("\nDecoding: greedy.\n");
    const words = ["generation.strategy=sample", "generation.temperature=2", "generation.answers=3", "eval.rows=[trained-pair]"];
    const output = path.join(world.folder, "sampled");
    const { out } = await captured(evaluate, ["eval", world.run, ...words, "--output", output, "--quiet"]);
    expect(out).toContain("Decoding: sampled (temperature 2, seed 0), 3 answers a question, of which the first is scored.");
    const answered = linesOf(readFileSync(path.join(output, "answers.jsonl"), "utf8")) as { prediction: string; predictions: string[] }[];
    for (const { prediction, predictions } of answered) {
      expect(predictions).toHaveLength(3);
      expect(prediction).toBe(predictions[0]);
    }
    expect(readFileSync(path.join(output, "answers.md"), "utf8")).toMatch(/^- answer 3: /m);
  });

  it("on questions without gold passages leaves out what can't be measured, and says so", async () => {
    const { out, error } = await captured(evaluate, [
      "eval",
      world.run,
      `eval.questions=${file("gold-less.tsv", "Who?\tx\nWhen?\ty\n")}`,
      "eval.rows=[trained-pair, gold-passage]",
      "--json",
    ]);
    expect(error).toMatch(/no gold-passage row, no recall and no MRR/);
    expect(report(out).rows.map(({ name, mrr }) => [name, mrr])).toEqual([["trained-pair", null]]);
  });

  it("keeps and prints the scores where the run's log is damaged, and warns of its line", async () => {
    const log = path.join(world.run, "metrics.jsonl");
    const whole = readFileSync(log, "utf8");
    const output = path.join(world.folder, "damaged log");
    writeFileSync(log, `{"step": 1, "pha\n${whole}`);
    try {
      const { out, error } = await captured(evaluate, ["eval", world.run, "--output", output, "--quiet"]);
      expect(error).toMatch(/^warning: the report's page was not written, its figures were: .*metrics\.jsonl:1/m);
      expect(out).toContain("trained-pair");
      expect(readdirSync(output)).toContain("report.json");
      expect(readdirSync(output)).not.toContain("report.html");
    } finally {
      writeFileSync(log, whole);
    }
  });

  it.each([
    ["a key that training has settled", ["generator.max_tokens=100"], /'generator\.max_tokens' is settled once a run is trained/],
    ["a key that isn't there", ["eval.question=x"], /eval\.questions/],
    ["questions that aren't there", ["eval.questions=/nowhere.jsonl"], /\/nowhere\.jsonl/],
    ["passages that aren't there", ["eval.questions=QUESTIONS", "eval.passages=/nowhere.jsonl"], /\/nowhere\.jsonl/],
  ])("refuses %s", async (_, words, expected) => {
    const given = words.map((word) => word.replace("QUESTIONS", world.questions));
    expect(await faultOf(() => captured(evaluate, ["eval", world.run, ...given, "--quiet"]))).toMatch(expected);
  });

  it("refuses passages that are damaged, and keeps nothing of them", async () => {
    const passages = file("damaged.jsonl", `${jsonLines(ARTICLES.slice(0, 2))}{"id": "x", "ti`);
    const cache = path.join(world.run, "eval-cache", "corpus");
    mkdirSync(cache, { recursive: true });
    const before = readdirSync(cache);
    expect(
      await faultOf(() =>
        captured(evaluate, ["eval", world.run, `eval.questions=${world.questions}`, `eval.passages=${passages}`, "--quiet"]),
      ),
    ).toMatch(/damaged\.jsonl:3/);
    expect(readdirSync(cache)).toEqual(before);
  });
});

describe("tandem corpus show", () => {
  it("prints a passage by row or id, of a store or of a run", async () => {
    const id = idOf(first ?? { id: "", title: "", text: "" });
    for (const [store, wanted] of [
      [world.run, "0"],
      [path.join(world.run, "corpus"), id],
    ] as const) {
      const { out } = await captured(corpus, ["corpus", "show", store, wanted]);
      expect(out).toBe(`0  ${first?.title ?? ""}  [${id}]  of ${first?.title ?? ""}\n${first?.text ?? ""}\n\n`);
    }
    const { out } = await captured(corpus, ["corpus", "show", world.run, "3", "1", "--json"]);
    expect((linesOf(out) as { row: number }[]).map(({ row }) => row)).toEqual([3, 1]);
  });

  it("without a passage says what the store is", async () => {
    expect(JSON.parse((await captured(corpus, ["corpus", "show", world.run, "--json"])).out)).toMatchObject({
      passages: 30,
      documents: 30,
    });
  });

  it.each([
    ["30", /has no passage 30; expected 0 to 29/],
    ["f".repeat(32), /has no passage with id "f{32}"/],
    ["Kaldom", /has no passage with id "Kaldom"; expected an id of 32 hexadecimal digits/],
  ])("refuses %s", async (wanted, expected) => {
    expect(await faultOf(() => captured(corpus, ["corpus", "show", world.run, wanted]))).toMatch(expected);
  });
});
