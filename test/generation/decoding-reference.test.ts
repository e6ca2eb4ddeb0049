/**
 * Proves that decoding equals the real transformers beyond the golden files: random prompts of many lengths, alone and left-padded in one batch, ends in the middle, several answers, every way to stop
 * beam search, length penalties, penalties with beams, stop strings, and the probabilities that are sampled from. Skipped where there is no reference Python.
 * Alone: npx vitest run test/generation/decoding-reference.test.ts
 */
import path from "node:path";
import { describe, expect, it } from "vitest";
import { setThreads } from "../../src/engine/info.js";
import { scope } from "../../src/engine/scope.js";
import { tensor, toFloat32Array } from "../../src/engine/tensor.js";
import { seededRandom, randomInteger } from "../../src/corpus/seeded-random.js";
import { decode, type BeamDecoding, type Decoding } from "../../src/generation/decoding.js";
import { LogitsProcessors } from "../../src/generation/logits-processors.js";
import { warpLogits } from "../../src/generation/logits-warpers.js";
import { cutAtStop, endsAtStop } from "../../src/generation/stop-strings.js";
import { loadCausalModel } from "../../src/nn/registry.js";
import { Tokenizer } from "../../src/text/tokenizer.js";
import { goldens } from "../nn/goldens.js";
import { referenceMissing, runPython } from "../nn/reference-python.js";

setThreads(1);
const folder = path.join(goldens, "gpt2-tiny");
const model = loadCausalModel(folder);
const tokenizer = Tokenizer.fromFolder(folder);
const MAX_NEW = 14;

/** Runs generate for each case; a row is cut at its first end token. `padded`: all prompts in one batch, padded on the left. */
const GENERATE = `
import sys, json, torch
from transformers import GPT2LMHeadModel, AutoTokenizer
given = json.loads(sys.argv[1]); torch.set_num_threads(1)
model = GPT2LMHeadModel.from_pretrained(given["folder"]).eval()
tokenizer = AutoTokenizer.from_pretrained(given["folder"])
def run(prompts, options, eos):
    width = max(len(p) for p in prompts)
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    more = {"tokenizer": tokenizer} if "stop_strings" in options else {}
    out = model.generate(ids, attention_mask=mask, max_new_tokens=given["new"], do_sample=False, pad_token_id=0, eos_token_id=eos, **options, **more)
    rows = [r[width:].tolist() for r in out]
    rows = [r[: r.index(eos)] if eos in r else r for r in rows]
    n = options.get("num_return_sequences", 1)
    return [rows[i * n : (i + 1) * n] for i in range(len(prompts))]
results = []
for case in given["cases"]:
    if case["padded"]: results.append(run(case["prompts"], case["options"], case["eos"]))
    else: results.append([run([p], case["options"], case["eos"])[0] for p in case["prompts"]])
print(json.dumps(results))
`;

interface Case {
  readonly name: string;
  readonly padded: boolean;
  readonly seed: number;
  readonly eos: number;
  readonly decoding: Decoding;
}

/** Prompts of random tokens, of lengths 2 to 40, some tokens repeated so that n-grams do. */
function promptsOf(seed: number, count = 6): number[][] {
  const random = seededRandom(`prompts/${seed}`);
  return Array.from({ length: count }, () => {
    const pool = Array.from({ length: 12 }, () => randomInteger(random, 1, 899));
    return Array.from({ length: randomInteger(random, 2, 40) }, () => pool[randomInteger(random, 0, 11)] ?? 1);
  });
}

/** The same wish in transformers' words. */
function optionsOf(decoding: Decoding): Record<string, unknown> {
  const { repetitionPenalty = 1, noRepeatNgramSize = 0, answers = 1, stop } = decoding;
  const shared = {
    repetition_penalty: repetitionPenalty,
    no_repeat_ngram_size: noRepeatNgramSize,
    num_return_sequences: answers,
    ...(stop === undefined ? {} : { stop_strings: stop }),
  };
  if (decoding.strategy !== "beam") return shared;
  const { beams, lengthPenalty = 1, earlyStopping = false } = decoding;
  return { ...shared, num_beams: beams, length_penalty: lengthPenalty, early_stopping: earlyStopping };
}

const beam = (beams: number, more: Partial<BeamDecoding> = {}): BeamDecoding => ({ strategy: "beam", beams, ...more });
/** Tokens that the golden model writes often, so that answers end early, late and never. */
const FREQUENT = [395, 899, 856];
const wishes: [string, Decoding][] = [
  ["greedy", { strategy: "greedy" }],
  ["greedy, penalty 1.4", { strategy: "greedy", repetitionPenalty: 1.4 }],
  ["greedy, penalty 0.8, no 3-gram", { strategy: "greedy", repetitionPenalty: 0.8, noRepeatNgramSize: 3 }],
  ["greedy, no 1-gram", { strategy: "greedy", noRepeatNgramSize: 1 }],
  ["2 beams", beam(2)],
  ["5 beams, 5 answers", beam(5, { answers: 5 })],
  ["4 beams, 2 answers, early stopping", beam(4, { answers: 2, earlyStopping: true })],
  ["4 beams, 3 answers, never early", beam(4, { answers: 3, earlyStopping: "never" })],
  ["3 beams, length penalty 2.5", beam(3, { lengthPenalty: 2.5, answers: 3 })],
  ["3 beams, length penalty 0, never early", beam(3, { lengthPenalty: 0, earlyStopping: "never", answers: 2 })],
  ["3 beams, length penalty -1.5", beam(3, { lengthPenalty: -1.5, answers: 3 })],
  ["3 beams, length penalty -1, never early", beam(3, { lengthPenalty: -1, earlyStopping: "never" })],
  ["4 beams, penalty 1.3, no 2-gram", beam(4, { repetitionPenalty: 1.3, noRepeatNgramSize: 2, answers: 4 })],
];
const cases: Case[] = [
  ...wishes.flatMap(([name, decoding]) => FREQUENT.map((eos, seed): Case => ({ name, padded: false, seed, eos, decoding }))),
  // A padded batch counts its padding as n-grams in transformers, so those aren't compared here.
  ...wishes
    .filter(([, { noRepeatNgramSize = 0 }]) => noRepeatNgramSize === 0)
    .map(([name, decoding], i): Case => ({ name: `${name}, left-padded`, padded: true, seed: 10 + i, eos: FREQUENT[i % 3]!, decoding })),
];

const reference = ((): number[][][][] => {
  if (referenceMissing !== undefined) return [];
  const asked = cases.map(({ padded, seed, eos, decoding }) => ({ padded, eos, prompts: promptsOf(seed), options: optionsOf(decoding) }));
  return runPython(GENERATE, { folder, new: MAX_NEW, cases: asked }) as number[][][][];
})();

async function ours({ seed, eos, decoding }: Pick<Case, "seed" | "eos" | "decoding">, batch: number): Promise<number[][][]> {
  const prompts = promptsOf(seed).map((ids) => Int32Array.from(ids));
  const decoded = await decode(model, prompts, decoding, { maxNewTokens: MAX_NEW, eosId: eos, batch });
  return decoded.map((own) => own.map((tokens) => [...tokens]));
}

describe.skipIf(referenceMissing !== undefined)("against transformers", () => {
  it.each(cases.map((own, i) => [`${own.name}, end token ${own.eos}`, own, i] as const))("%s", async (_, own, i) => {
    const expected = reference[i]!;
    expect(expected).toHaveLength(6);
    for (const batch of [1, 64]) expect(await ours(own, batch)).toEqual(expected);
  });

  it("among these answers are some that ended and some that didn't", () => {
    const lengths = reference.flat(2).map(({ length }) => length);
    expect(lengths.filter((length) => length === MAX_NEW).length).toBeGreaterThan(20);
    expect(lengths.filter((length) => length < MAX_NEW).length).toBeGreaterThan(20);
  });

  const stoppable: [string, Decoding][] = [
    ["greedy", { strategy: "greedy" }],
    ["4 beams", beam(4, { answers: 2 })],
  ];
  it.each(stoppable)("stop strings end %s where transformers ends it, across the borders of tokens", async (_, plain) => {
    // "ken" and "se" are tokens that this model likes to repeat: these lie across their borders.
    const stop = ["nkenk", "ese"];
    // transformers also ends at a stop string that the prompt begins; such prompts aren't compared.
    const isBegun = (text: string): boolean =>
      stop.some((string) => [1, 2, 3, 4].some((letters) => letters < string.length && text.endsWith(string.slice(0, letters))));
    const prompts = [3, 4, 5].flatMap((seed) => promptsOf(seed)).filter((ids) => !isBegun(tokenizer.decode(ids)));
    expect(prompts.length).toBeGreaterThan(10);
    const options = optionsOf({ ...plain, stop });
    const [expected = []] = runPython(GENERATE, {
      folder,
      new: MAX_NEW,
      cases: [{ padded: false, eos: 0, prompts, options }],
    }) as number[][][][];
    const ids = prompts.map((prompt) => Int32Array.from(prompt));
    const decoded = await decode(model, ids, plain, { maxNewTokens: MAX_NEW, eosId: 0, ends: endsAtStop(tokenizer, stop) });
    const answers = decoded.map((own) => own.map((tokens) => [...tokens]));
    expect(answers).toEqual(expected);
    expect(answers.flat().some(({ length }) => length < MAX_NEW)).toBe(true);
    for (const tokens of answers.flat()) {
      const text = tokenizer.decode(tokens);
      const cut = cutAtStop(text, stop);
      expect(text.startsWith(cut)).toBe(true);
      expect(stop.some((string) => cut.includes(string))).toBe(false);
    }
  });

  it("processors and warpers give transformers' scores and probabilities to 1e-6, in transformers' order", () => {
    const random = seededRandom("scores");
    const scores = Array.from({ length: 4 }, () => Array.from({ length: 50 }, () => randomInteger(random, -60, 60) / 10));
    const ids = Array.from({ length: 4 }, () => Array.from({ length: 20 }, () => randomInteger(random, 0, 9)));
    const program = `
import sys, json, torch
from transformers import GPT2Config, GPT2LMHeadModel, GenerationConfig
given = json.loads(sys.argv[1])
model = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=8, n_layer=1, n_head=1))
results = []
for options in given["options"]:
    config = GenerationConfig(do_sample=True, pad_token_id=0, eos_token_id=0, max_new_tokens=4, **options)
    model._prepare_special_tokens(config, device="cpu")
    chain = model._get_logits_processor(generation_config=config, input_ids_seq_length=20)
    results.append(torch.softmax(chain(torch.tensor(given["ids"]), torch.tensor(given["scores"])), -1).tolist())
print(json.dumps(results))`;
    const wanted = [
      { temperature: 0.6, topK: 70, topP: 0.95, repetitionPenalty: 1, noRepeatNgramSize: 0 },
      { temperature: 1.7, topK: 5, topP: 1, repetitionPenalty: 1.5, noRepeatNgramSize: 0 },
      { temperature: 1, topK: 50, topP: 0.3, repetitionPenalty: 0.5, noRepeatNgramSize: 2 },
      { temperature: 0.05, topK: 1, topP: 0.9, repetitionPenalty: 1.2, noRepeatNgramSize: 1 },
    ];
    const options = wanted.map((own) => ({
      temperature: own.temperature,
      top_k: own.topK,
      top_p: own.topP,
      repetition_penalty: own.repetitionPenalty,
      no_repeat_ngram_size: own.noRepeatNgramSize,
    }));
    const expected = runPython(program, { scores, ids, options }) as number[][][];
    wanted.forEach((own, i) => {
      const prompts = ids.map((row) => Int32Array.from(row));
      const processors = new LogitsProcessors(own, prompts, 50, "cpu");
      const found = scope(() => toFloat32Array(warpLogits(processors.process(tensor(scores)), own).softmax(1)));
      processors.dispose();
      expected[i]!.flat().forEach((p, at) => {
        expect(Math.abs((found[at] ?? NaN) - p)).toBeLessThan(1e-6);
      });
    });
  });
});
