/** A product of 2048×768 and 768×3072 through the TypeScript API against PyTorch in Python. Run: npx tsx bench/matmul.ts */
import { noGrad } from "../src/engine/grad-mode.js";
import { scope } from "../src/engine/scope.js";
import { ops } from "../src/engine/tensor.js";
import { compete } from "./peer.js";

const a = ops.randn([2048, 768]);
const b = ops.randn([768, 3072]);
await compete({
  name: "matmul 2048x768x3072",
  peer: "matmul",
  repeats: 60,
  rounds: 6,
  ours: () => {
    scope(() => {
      noGrad(() => a.mm(b));
    });
  },
});
