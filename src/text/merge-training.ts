/**
 * Learns byte-pair merges with the tokenizer library, in a process of its own. It knows nothing of special tokens or of files that
 * others read: see train-tokenizer.ts.
 * Why a process: the library's trainer takes files only, draws progress on standard error whatever the caller wants, and its memory
 * goes back when the process ends.
 * The trap: the library offers none of the trainer's options, so it always learns up to 30,000 tokens. A smaller vocabulary is the
 * beginning of that list, because each merge is chosen without looking ahead.
 */
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { aboutFile } from "../storage/file-fault.js";
import { scratchFolder } from "../storage/scratch-folder.js";

/** How the library splits lines into words: GPT-2's bytes and regular expression, or at white space alone. */
export type WordSplit = "byte-level" | "white-space";

export interface LearnedMerges {
  readonly merges: [string, string][];
  /** The library's limit ended the training, not the text. */
  readonly full: boolean;
}

/** What the library learns at most, its alphabet included. */
export const LIBRARY_LIMIT = 30_000;

// Plain JavaScript in a string, so that it starts alike from sources and from dist/.
const CHILD_SOURCE = `
const [library, split, input, output] = process.argv.slice(1);
const { BPE, Tokenizer, byteLevelPreTokenizer, whitespaceSplitPreTokenizer } = require(library);
const tokenizer = new Tokenizer(BPE.empty());
tokenizer.setPreTokenizer(split === "byte-level" ? byteLevelPreTokenizer(false, true) : whitespaceSplitPreTokenizer());
tokenizer.train([input]);
tokenizer.save(output, false);
`;

/**
 * The merges of the lines, most frequent first (ties: the pair whose tokens are older), as many as the library's limit or the lines allow.
 * The same lines give the same merges, whatever the number of threads.
 * @throws UserError when the temporary folder can't be written.
 */
export function learnMerges(lines: Iterable<string>, split: WordSplit): LearnedMerges {
  const folder = scratchFolder("tokenizer");
  try {
    const input = path.join(folder, "lines.txt");
    const output = path.join(folder, "tokenizer.json");
    writeLines(input, lines);
    const library = createRequire(import.meta.url).resolve("tokenizers");
    const child = spawnSync(process.execPath, ["-e", CHILD_SOURCE, library, split, input, output], {
      stdio: ["ignore", "ignore", "pipe"],
      encoding: "utf8",
    });
    if (child.error !== undefined) throw child.error;
    if (child.status !== 0) throw new Error(`training the tokenizer failed: ${child.signal ?? ""} ${child.stderr.trim().slice(-2000)}`);
    const { model } = JSON.parse(readFileSync(output, "utf8")) as { model: { vocab: object; merges: [string, string][] } };
    return { merges: model.merges, full: Object.keys(model.vocab).length >= LIBRARY_LIMIT };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function writeLines(file: string, lines: Iterable<string>): void {
  aboutFile(file, () => {
    const descriptor = openSync(file, "w");
    try {
      let buffer = "";
      for (const line of lines) {
        buffer += `${line}\n`;
        if (buffer.length < 1 << 20) continue;
        writeSync(descriptor, buffer);
        buffer = "";
      }
      writeSync(descriptor, buffer);
    } finally {
      closeSync(descriptor);
    }
  });
}
