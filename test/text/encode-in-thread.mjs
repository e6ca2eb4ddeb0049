// A worker thread that encodes some texts many times over and sends each answer to its parent.
import { parentPort, workerData } from "node:worker_threads";
import { register } from "tsx/esm/api";

register();
const { Tokenizer } = await import("../../src/text/tokenizer.ts");
const tokenizer = Tokenizer.fromFolder(workerData.folder);
for (let i = 0; i < workerData.times; i++) parentPort.postMessage(tokenizer.encodeBatch(workerData.texts).map((ids) => Array.from(ids)));
