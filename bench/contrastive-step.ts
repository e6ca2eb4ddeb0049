/**
 * A contrastive training step of MiniLM (32 questions against 32 passages, in-batch negatives, dropout as in the folder) by the trainer's own phase, against sentence-transformers in Python, tokenising
 * included on both sides. Run: npx tsx bench/contrastive-step.ts FOLDER (a folder of all-MiniLM-L6-v2)
 */
import { AdamW } from "../src/engine/adamw.js";
import { clipGradientNorm } from "../src/engine/clip.js";
import { scope } from "../src/engine/scope.js";
import { Encoder } from "../src/retrieval/encoder.js";
import { parameterGroups } from "../src/training/optimiser.js";
import { contrastivePhase } from "../src/training/phases/contrastive.js";
import { mixedTexts } from "./mixed-texts.js";
import { compete } from "./peer.js";

const HALF = 32;
const folder = process.argv[2];
if (folder === undefined) {
  process.stderr.write("bench/contrastive-step.ts: name a folder of all-MiniLM-L6-v2\n");
  process.exit(2);
}
const encoder = Encoder.load(folder);
const optimiser = new AdamW(parameterGroups(encoder.parameters, 0.01));
const texts = mixedTexts(2 * HALF);
const [questions, passages] = [texts.slice(0, HALF), texts.slice(HALF)];
const phase = contrastivePhase({
  encoder,
  questions: questions.map((question, row) => ({ question, answers: [], positives: [row] })),
  textOf: (row) => passages[row] ?? "",
  seed: 0,
  batch: HALF,
  temperature: 0.05,
});
let step = 0;

await compete({
  name: "contrastive step of MiniLM (32 x 32)",
  peer: "contrastive-step",
  folder,
  input: texts,
  repeats: 3,
  rounds: 2,
  ours: () => {
    scope(() => {
      optimiser.zeroGrad();
      phase.step(phase.batch(step++));
      clipGradientNorm(encoder.parameters.values(), 1);
      optimiser.step(2e-5);
    });
  },
});
