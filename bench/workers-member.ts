/**
 * One worker process of bench/workers.ts: takes whole training steps, forward to update, as the trainer does, by itself or with a fellow, and tells how long each took. Not a module to import: it runs when it is loaded.
 * `apart` is the same share of the step without the sum of gradients, as under DistributedDataParallel's no_sync: what a step with it takes longer is the communication that isn't hidden.
 */
import { openProcessGroup, openStore, SINGLE_PROCESS, type ProcessGroup } from "../src/distributed/process-group.js";
import { AdamW } from "../src/engine/adamw.js";
import { clipGradientNorm } from "../src/engine/clip.js";
import { setThreads } from "../src/engine/info.js";
import { scope } from "../src/engine/scope.js";
import { ops, type Tensor } from "../src/engine/tensor.js";
import { DEFAULT_PROMPT_FORMAT } from "../src/generation/prompt.js";
import { Gpt2, gpt2Config } from "../src/nn/gpt2.js";
import { Encoder } from "../src/retrieval/encoder.js";
import { Tokenizer } from "../src/text/tokenizer.js";
import { generatorExamples } from "../src/training/generator-examples.js";
import { groupShare, type GroupShare } from "../src/training/group-share.js";
import { parameterGroups } from "../src/training/optimiser.js";
import type { Phase } from "../src/training/phase.js";
import { contrastivePhase } from "../src/training/phases/contrastive.js";
import { generatorPhase } from "../src/training/phases/generator.js";
import { WHOLE, type Share } from "../src/training/share.js";
import { mixedTexts } from "./mixed-texts.js";
import type { Cost, FromMember, ToMember } from "./workers.js";

const HOST = "127.0.0.1";
const TIMEOUT = 600_000;
const TEXTS = mixedTexts(256);

type Kind = Extract<ToMember, { kind: string }>["kind"];

let order: Extract<ToMember, { folder: string }> | undefined;
let group: ProcessGroup = SINGLE_PROCESS;
let share: Share = WHOLE;
let model: { phase: Phase; optimiser: AdamW } | undefined;
let steps = 0;

function send(message: FromMember): void {
  process.send?.(message);
}

function join({ rank, size }: { rank: number; size: number }, port: number): void {
  const store = openStore({ host: HOST, port, isServer: rank === 0, timeout: TIMEOUT });
  if (rank === 0) send({ port: store.port });
  group = openProcessGroup({ store, name: "bench", rank, size, address: HOST, timeout: TIMEOUT });
  share = groupShare(group);
}

/** Contexts of like length, as a batch by token counts has them. */
function generator(folder: string, batch: number): Phase {
  const passages = mixedTexts(120).filter((text) => text.split(" ").length >= 100);
  const questions = Array.from({ length: 512 }, (_, i) => {
    const row = i % passages.length;
    return {
      question: "What was founded by the people?",
      answer:
        passages[row]
          ?.split(" ")
          .slice(i % 40, (i % 40) + 5)
          .join(" ") ?? "",
      goldRows: [row],
    };
  });
  const network = Gpt2.initialise(gpt2Config({ nLayer: 6, residPdrop: 0.1, embdPdrop: 0.1, attnPdrop: 0.1 }), 0);
  return generatorPhase({
    model: network,
    tokenizer: Tokenizer.fromFolder(folder),
    format: DEFAULT_PROMPT_FORMAT,
    maxTokens: 256,
    eosId: 102,
    examples: generatorExamples({
      seed: 0,
      questions,
      contexts: (question) => questions[question]?.goldRows ?? [],
      passage: (row) => ({ title: "A town", text: passages[row] ?? "" }),
      questionsPerContext: 1,
      totalSteps: 1000,
    }),
    length: () => 150,
    seed: 0,
    batch,
  });
}

function contrastive(folder: string, batch: number): Phase {
  const questions = TEXTS.slice(0, 128).map((question, row) => ({ question: `${question} ${row}`, answers: [], positives: [row] }));
  return contrastivePhase({
    encoder: Encoder.load(folder),
    questions,
    textOf: (row) => TEXTS[128 + row] ?? "",
    seed: 0,
    batch,
    temperature: 0.05,
  });
}

function forget(): void {
  if (group !== SINGLE_PROCESS) {
    (share as GroupShare).close();
    share = groupShare(group);
  }
  model?.optimiser.dispose();
  for (const parameter of model?.phase.parameters.values() ?? []) parameter.dispose();
}

const PHASES: Readonly<Record<Kind, (folder: string, batch: number) => Phase>> = { generator, contrastive };

/** How long it took from when all were ready, and the processor time of this process meanwhile, its threads' together. */
function timed(work: () => void): Cost {
  group.barrier();
  const [start, before] = [performance.now(), process.cpuUsage()];
  work();
  const { user, system } = process.cpuUsage(before);
  return { clock: performance.now() - start, processor: (user + system) / 1000 };
}

/** One step. */
function step(apart: boolean): Cost {
  if (model === undefined) throw new Error("bench/workers-member.ts: no model");
  const { phase, optimiser } = model;
  const own: Share = apart ? { ...share, backward: (_, loss, gradient) => loss?.backward(gradient) } : share;
  return timed(() =>
    scope(() => {
      optimiser.zeroGrad();
      phase.step(phase.batch(steps++, own), own);
      clipGradientNorm(phase.parameters.values(), 1);
      optimiser.step(1e-5);
    }),
  );
}

/** The sum of as many numbers as the model has, and nothing beside it. */
function bareSum(all: Tensor): Cost {
  return timed(() => group.sum([all]));
}

process.once("disconnect", () => process.exit());
process.on("message", (message) => {
  const told = message as ToMember;
  if ("folder" in told) {
    order = told;
    setThreads(told.threads);
    if (told.size > 1 && told.rank === 0) join(told, 0);
  } else if ("port" in told) {
    if (order !== undefined) join(order, told.port);
  } else if ("kind" in told) {
    forget();
    const phase = PHASES[told.kind](order?.folder ?? "", told.batch);
    model = { phase, optimiser: new AdamW(parameterGroups(phase.parameters, 0.01)) };
    send({ cost: { clock: 0, processor: 0 } });
  } else if (told.what === "bare") {
    const count = [...(model?.phase.parameters.values() ?? [])].reduce((sum, { numel }) => sum + numel, 0);
    send({ cost: scope(() => bareSum(ops.zeros([count]))) });
  } else {
    send({ cost: step(told.what === "apart") });
  }
});
