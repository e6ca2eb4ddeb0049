/**
 * Proves what the quickstart's README promises of its names: with the vocabularies that conf/experiment/quickstart.yaml asks for, a name that training never shows is made of tokens that it does. A name
 * that is a token of its own has an embedding that was never trained: the retriever can't find it and the generator can't copy it.
 * Alone: npx vitest run test/job/quickstart-vocabulary.test.ts
 */
import path from "node:path";
import { expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { inventedNamesIn, PREFIXES, SUFFIXES } from "../../src/corpus/invented-names.js";
import { readQuestions } from "../../src/corpus/questions.js";
import { corpusTexts, questionTexts } from "../../src/job/data/data.js";
import { trainByteBpe, trainWordPiece } from "../../src/text/train-tokenizer.js";
import { Tokenizer } from "../../src/text/tokenizer.js";
import { temporaryFolder } from "../storage/bad-input.js";

const { config } = loadConfig({ overrides: ["experiment=quickstart"] });
const namesOf = (file: string | null): string[] => [
  ...new Set(readQuestions(file!).questions.flatMap(({ question, answers }) => [question, ...answers].flatMap(inventedNamesIn))),
];
const heldOut = [...namesOf(config.data.questions.valid), ...namesOf(config.data.questions.test)].filter((name) => !name.includes(" "));
/** What renaming may draw while training: the whole grammar but the names of validation and test. */
const drawn = PREFIXES.flatMap((first) => SUFFIXES.map((last) => first + last)).filter((name) => !heldOut.includes(name));

it.each(["retriever", "generator"] as const)(
  "every name of validation and test is made of tokens that training shows: %s",
  async (model) => {
    const output = path.join(temporaryFolder(), model);
    const texts = await corpusTexts(config.data);
    if (model === "retriever") trainWordPiece({ texts, vocabSize: config.retriever.initialise.vocabulary, output });
    else trainByteBpe({ texts: [...texts, ...questionTexts(config.data)], vocabSize: config.generator.initialise.vocabulary, output });
    const tokenizer = Tokenizer.fromFolder(output);
    const tokensOf = (name: string): number[] => [...tokenizer.encode(` ${name}`, { specialTokens: false })];
    const known = new Set(drawn.flatMap(tokensOf));
    expect(heldOut.length).toBeGreaterThan(200);
    expect(heldOut.filter((name) => tokensOf(name).length < 2)).toEqual([]);
    expect(heldOut.filter((name) => !tokensOf(name).every((token) => known.has(token)))).toEqual([]);
  },
);
