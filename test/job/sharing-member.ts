/** A worker that shares the work of an index with others; the first leads. What index-sharing.test.ts runs in each process, and alone in its own. */
import { existsSync } from "node:fs";
import path from "node:path";
import { loadConfig } from "../../src/config/load-config.js";
import { PassageStore } from "../../src/corpus/passage-store.js";
import { LedGroup } from "../../src/distributed/led-group.js";
import type { ProcessGroup } from "../../src/distributed/process-group.js";
import { noGrad } from "../../src/engine/grad-mode.js";
import { setThreads } from "../../src/engine/info.js";
import { currentRetriever, searchTraining, type ArtefactParts } from "../../src/job/index/artefacts.js";
import { shareIndex } from "../../src/job/index/index-sharing.js";
import type { Encoder } from "../../src/retrieval/encoder.js";
import { tinyEncoder } from "../training/tiny-world.js";

export interface SharedWork {
  readonly store: string;
  /** Holds `index/` and `retrieval/`. */
  readonly folder: string;
  readonly questions: readonly string[];
  readonly k: number;
  /** The rank whose encoder fails after so many texts. */
  readonly failing?: {
    readonly rank: number;
    readonly after: number;
    /** A file that another worker writes: it fails only then. */ readonly awaits?: string;
  };
  /** The rank whose encoder has another seed. */
  readonly stranger?: number;
}

export interface SharedResult {
  /** Passages that this worker embedded. */
  readonly embedded: number;
  readonly made: { readonly index: string; readonly retrieval: string } | undefined;
  readonly progress: readonly unknown[];
}

/** A vector in one product, so that a few hundred rows are several workers'. */
const BLOCK = 64;

export default async function program(group: ProcessGroup, work: SharedWork): Promise<SharedResult> {
  setThreads(1);
  const encoder = tinyEncoder(0, "f32");
  const counted = countedEncoder(encoder, work.failing?.rank === group.rank ? work.failing : undefined);
  if (work.stranger === group.rank) noGrad(() => encoder.parameters.get("embeddings.LayerNorm.bias")?.fill_(0.5));
  const progress: unknown[] = [];
  const alone: ArtefactParts = {
    indexFolder: path.join(work.folder, "index"),
    retrievalFolder: path.join(work.folder, "retrieval"),
    store: PassageStore.open(work.store),
    template: "{title}. {text}",
    index: loadConfig({ overrides: ["data=quickstart"] }).config.index,
    device: "cpu",
    report: (message) => progress.push(message),
  };
  const led = new LedGroup(group);
  const parts = group.size === 1 ? alone : { ...alone, sharing: shareIndex(led, alone, encoder, BLOCK) };
  if (group.rank > 0) {
    await led.follow();
    encoder.dispose();
    return { embedded: counted.texts, made: undefined, progress };
  }
  led.begin();
  const { retriever, indexName } = await currentRetriever(parts, encoder, "refresh");
  const { questions, k } = work;
  const asked = questions.map((question, i) => ({ id: `q${i}`, question }));
  const made = await searchTraining(parts, retriever, indexName, { questions: asked, heldOut: new Set(["document 3"]), k });
  retriever.index.dispose();
  encoder.dispose();
  if (group.size > 1) led.end(null);
  return { embedded: counted.texts, made, progress };
}

/** Counts what is embedded, and fails where it is told to. */
function countedEncoder(encoder: Encoder, failing: SharedWork["failing"]): { texts: number } {
  const counted = { texts: 0 };
  const embed = encoder.embedPassages.bind(encoder);
  encoder.embedPassages = (texts) => {
    if (failing !== undefined && counted.texts + texts.length > failing.after) fail(failing.awaits);
    counted.texts += texts.length;
    return embed(texts);
  };
  return counted;
}

function fail(awaits: string | undefined): never {
  const clock = new Int32Array(new SharedArrayBuffer(4));
  for (let tries = 0; awaits !== undefined && !existsSync(awaits) && tries < 600; tries++) Atomics.wait(clock, 0, 0, 100);
  throw new Error("the device is out of memory");
}
