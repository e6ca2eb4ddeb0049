/**
 * A contrastive training step of MiniLM (32 questions against 32 passages, in-batch negatives, dropout as in the folder) against sentence-transformers in Python, tokenising included.
 * Run: npx tsx bench/contrastive-step.ts FOLDER (a folder of all-MiniLM-L6-v2)
 */
import { AdamW } from "../src/engine/adamw.js";
import { clipGradientNorm } from "../src/engine/clip.js";
import { scope } from "../src/engine/scope.js";
import { indices } from "../src/engine/tensor.js";
import { Encoder } from "../src/retrieval/encoder.js";
import { infoNce } from "../src/training/losses/info-nce.js";
import { parameterGroups } from "../src/training/optimiser.js";
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
let step = 0;

compete({
  name: "contrastive step of MiniLM (32 x 32)",
  peer: "contrastive-step",
  folder,
  input: texts,
  repeats: 3,
  rounds: 2,
  ours: () => {
    scope(() => {
      optimiser.zeroGrad();
      const dropout = (first: number) => ({ seed: 0, step, examples_B: indices(Array.from({ length: HALF }, (_, i) => first + i)) });
      const [questions, passages] = [texts.slice(0, HALF), texts.slice(HALF)];
      const queries_QD = encoder.embedIds(encoder.tokenise(questions, "query"), { dropout: dropout(0) });
      const passages_PD = encoder.embedIds(encoder.tokenise(passages, "passage"), { dropout: dropout(HALF) });
      const positives_Q = indices(Array.from({ length: HALF }, (_, i) => i));
      const { sum, count } = infoNce(queries_QD, passages_PD, { temperature: 0.05, positives_Q });
      sum.div(count).backward();
      clipGradientNorm(encoder.parameters.values(), 1);
      optimiser.step(2e-5);
      step++;
    });
  },
});
