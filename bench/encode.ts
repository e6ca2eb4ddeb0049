/**
 * Encoding 512 passages of mixed length with MiniLM against sentence-transformers in Python, tokenising included.
 * Run: npx tsx bench/encode.ts FOLDER (a folder of all-MiniLM-L6-v2)
 */
import { scope } from "../src/engine/scope.js";
import { Encoder } from "../src/retrieval/encoder.js";
import { mixedTexts } from "./mixed-texts.js";
import { compete } from "./peer.js";

const folder = process.argv[2];
if (folder === undefined) {
  process.stderr.write("bench/encode.ts: name a folder of all-MiniLM-L6-v2\n");
  process.exit(2);
}
const encoder = Encoder.load(folder);
const texts = mixedTexts(256);
await compete({
  name: "encoding 256 passages with MiniLM",
  peer: "encode",
  folder,
  input: texts,
  repeats: 2,
  rounds: 2,
  ours: () => {
    scope(() => {
      encoder.embedPassages(texts);
    });
  },
});
