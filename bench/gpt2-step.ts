/**
 * A training step of a distilGPT2-sized model (4 examples, 170 tokens, logits at 10 answer positions each, dropout 0.1, clipping, AdamW) against transformers in Python.
 * Run: npx tsx bench/gpt2-step.ts
 */
import { AdamW } from "../src/engine/adamw.js";
import { clipGradientNorm } from "../src/engine/clip.js";
import { scope } from "../src/engine/scope.js";
import { indices } from "../src/engine/tensor.js";
import { Gpt2, gpt2Config } from "../src/nn/gpt2.js";
import { parameterGroups } from "../src/training/optimiser.js";
import { compete } from "./peer.js";

const [BATCH, LENGTH, FIRST] = [4, 170, 160];
const model = Gpt2.initialise(gpt2Config({ nLayer: 6, residPdrop: 0.1, embdPdrop: 0.1, attnPdrop: 0.1 }), 0);
const optimiser = new AdamW(parameterGroups(model.parameters, 0.01));
const ids = Int32Array.from({ length: BATCH * LENGTH }, (_, i) => (i * 7919) % 50257);
const rows = Array.from({ length: BATCH }, (_, b) => Array.from({ length: LENGTH - FIRST }, (_, i) => b * LENGTH + FIRST + i)).flat();
let step = 0;

await compete({
  name: "GPT-2 training step (distilGPT2's size, 4 x 170 tokens)",
  peer: "gpt2-step",
  repeats: 6,
  ours: () => {
    scope(() => {
      optimiser.zeroGrad();
      const examples_B = indices([0, 1, 2, 3]);
      const hidden_BTE = model.forward({ ids_BT: indices(ids, [BATCH, LENGTH]), dropout: { seed: 0, step: step++, examples_B } });
      const logits_NV = model.logitsAt(hidden_BTE, indices(rows.map((row) => row - 1)));
      logits_NV.crossEntropyLoss(indices(rows.map((row) => ids[row] ?? 0))).backward();
      clipGradientNorm(model.parameters.values(), 1);
      optimiser.step(1e-4);
    });
  },
});
