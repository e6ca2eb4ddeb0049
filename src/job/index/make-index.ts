/**
 * The index of a retriever folder over a passage store: built if there is none, verified if there is one, rebuilt if asked. It doesn't search. By several processes when one of them leads the others. The trap: hashes of encoder and corpus in the
 * provenance say what an index was made from, not that its vectors are still those; so verifying embeds a few passages anew and compares.
 *
 * N passages, D dimension, S sampled passages.
 */
import { existsSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { passageText } from "../../corpus/passage.js";
import { noGrad } from "../../engine/grad-mode.js";
import { engineFacts } from "../../engine/info.js";
import { scope } from "../../engine/scope.js";
import { fromBytes } from "../../engine/tensor.js";
import { UserError } from "../../errors.js";
import type { LedGroup } from "../../distributed/led-group.js";
import { addFlatFile, buildIndex, discardPartial, type EmbedTogether } from "../../retrieval/build-index.js";
import { unitRows } from "../../retrieval/exact-index.js";
import { FaissIndex } from "../../retrieval/faiss-index.js";
import type { FaissSettings } from "../../retrieval/faiss-settings.js";
import { openIndex } from "../../retrieval/open-index.js";
import { requireProvenance, type Provenance } from "../../retrieval/provenance.js";
import { writeFolderAtomic } from "../../storage/atomic-write.js";
import { aboutFile } from "../../storage/file-fault.js";
import { readNpy } from "../../storage/npy.js";
import { shareEmbedding } from "./index-sharing.js";
import { indexFolder, mendingSoon, openEncodedStore, type EncodedStore, type SearchFolders } from "./open-search.js";
import type { Report } from "../reporter.js";

export interface MakeIndexOptions extends SearchFolders {
  /** Also write FAISS's flat file, where search is exact. */
  readonly faiss: boolean;
  /** Build anew whatever stands there. */
  readonly rebuild: boolean;
  readonly report: Report;
  /** Asked now and then; once it is true, {@link IndexStopped} is thrown, and what is embedded stays for the next build. */
  readonly stopRequested?: () => boolean;
  /** The group that this process leads, whose members embed with it: {@link helpMakeIndex} is their part. */
  readonly led?: LedGroup | undefined;
}

/** The build was asked to stop: neither a mistake nor a bug. */
export class IndexStopped extends Error {
  override readonly name = "IndexStopped";
}

export interface MadeIndex {
  readonly folder: string;
  readonly outcome: "built" | "rebuilt" | "verified";
  readonly provenance: Provenance;
  readonly seconds: number;
}

/** Passages that are embedded again when an index is verified. */
const SAMPLED = 16;

/** Largest difference of two embeddings of one text, alone and among others: rounding only. Vectors of no fixed length are compared relative to their largest entry. */
const TOLERANCE = 1e-3;

/**
 * @throws UserError when the index there belongs to another retriever or corpus or is damaged (with the command that mends it), or when the folder holds something else
 */
export async function makeIndex(options: MakeIndexOptions): Promise<MadeIndex> {
  const start = performance.now();
  const opened = openEncodedStore(options);
  try {
    const folder = indexFolder(options.index, opened.provenance);
    const isThere = holdsIndex(folder);
    if (isThere && !options.rebuild) {
      await verify(folder, opened, options);
      discardPartial({ parent: path.dirname(folder) }, opened.provenance);
    } else await build(folder, opened, options);
    const outcome = isThere ? (options.rebuild ? "rebuilt" : "verified") : "built";
    return { folder, outcome, provenance: opened.provenance, seconds: (performance.now() - start) / 1000 };
  } finally {
    opened.encoder.dispose();
    opened.passages?.dispose();
  }
}

/** {@link makeIndex} by another member of the group: embeds what the leader asks for, until it has no more to ask. */
export async function helpMakeIndex(options: MakeIndexOptions & { readonly led: LedGroup }): Promise<void> {
  const opened = openEncodedStore(options);
  try {
    together(opened, options);
    await options.led.follow();
  } finally {
    opened.encoder.dispose();
    opened.passages?.dispose();
  }
}

function together({ embedder, store, provenance }: EncodedStore, options: MakeIndexOptions): EmbedTogether | undefined {
  if (options.led === undefined) return undefined;
  const { template, metric } = provenance;
  return shareEmbedding(
    options.led,
    { store, template, metric },
    () => embedder,
    () => stopWhereAsked(options),
  );
}

function stopWhereAsked({ stopRequested }: MakeIndexOptions): void {
  if (stopRequested?.() === true) throw new IndexStopped("asked to stop; what is embedded is kept");
}

/** Whether there is an index to verify or to replace. @throws UserError for a folder or file that is something else: it isn't ours to replace */
function holdsIndex(folder: string): boolean {
  if (!existsSync(folder)) return false;
  const entries = aboutFile(folder, () => (statSync(folder).isDirectory() ? readdirSync(folder) : undefined));
  if (entries?.length === 0) return false;
  if (entries?.some((name) => name === "provenance.json" || name === "vectors.npy") === true) return true;
  throw new UserError({
    where: folder,
    what: "is something else than an index",
    expected: "a new folder or an index",
    got: entries === undefined ? "a file" : entries.slice(0, 3).join(", "),
    remedy: "choose another --output",
  });
}

/** buildIndex names its folder by content; what it made is moved to the folder that was asked for, which appears at once. */
async function build(folder: string, opened: EncodedStore, options: MakeIndexOptions): Promise<void> {
  const { faiss, approximate, report } = options;
  const { embedder, store, provenance } = opened;
  const shared = together(opened, options);
  await writeFolderAtomic(folder, async (temporary) => {
    const parent = path.join(temporary, "building");
    const made = await buildIndex({
      parent,
      // Beside the folder, not in the one that goes when the process is killed.
      partials: path.dirname(folder),
      encoder: embedder,
      store,
      template: provenance.template,
      metric: provenance.metric,
      faiss,
      approximate: builtBy(provenance, approximate ?? undefined),
      progress: (done, total, detail) => {
        report({ type: "progress", name: "index", done, total, detail });
        stopWhereAsked(options);
      },
      warn: (text) => report({ type: "warning", text }),
      together: shared,
    });
    for (const name of readdirSync(made)) renameSync(path.join(made, name), path.join(temporary, name));
    rmSync(parent, { recursive: true });
  });
}

async function verify(folder: string, opened: EncodedStore, { command, faiss, approximate }: MakeIndexOptions): Promise<void> {
  const rebuild = `${command} --rebuild`;
  await mendingSoon(rebuild, async () => {
    requireProvenance(folder, opened.provenance, rebuild);
    const index = openIndex(folder, approximate ? { search: approximate.search, threads: approximate.threads } : {});
    try {
      if (index instanceof FaissIndex) await index.ready();
    } finally {
      index.dispose();
    }
    compareSample(folder, opened);
    if (faiss && opened.provenance.faiss === undefined) addFlatFile(folder, opened.provenance.metric);
  });
}

/** With folders of one's own an index that is rebuilt stays what it says it is; threads are this machine's. */
function builtBy({ faiss: shape }: Provenance, settings: FaissSettings | undefined): FaissSettings | undefined {
  if (shape === undefined) return undefined;
  return { search: "", threads: engineFacts().threads, ...settings, ...shape };
}

/** Embeds passages from all over the corpus and compares them with their vectors. */
function compareSample(folder: string, { embedder, store, provenance }: EncodedStore): void {
  const count = Math.min(SAMPLED, store.size);
  const rows = Array.from({ length: count }, (_, i) => Math.floor((i * (store.size - 1)) / Math.max(1, count - 1)));
  const file = path.join(folder, "vectors.npy");
  const { data, shape } = readNpy(file);
  const width = 4 * (shape[1] ?? 0);
  const stored = Buffer.concat(rows.map((row) => data.subarray(row * width, (row + 1) * width)));
  const worst = scope(() =>
    noGrad(() => {
      const embedded_SD = embedder.embedPassages(rows.map((row) => passageText(store.get(row), provenance.template)));
      const fresh_SD = (provenance.metric === "cosine" ? unitRows(embedded_SD) : embedded_SD).toDevice("cpu", "f32");
      const stored_SD = fromBytes(stored, "f32", [count, provenance.dimension]);
      const difference = fresh_SD.sub(stored_SD).abs().amax().item();
      return difference / Math.max(1, fresh_SD.abs().amax().item());
    }),
  );
  // Written so that NaN, which compares with nothing, is refused too.
  if (!(worst <= TOLERANCE))
    throw new UserError({
      where: file,
      what: "its vectors are not those of the passages: the file is damaged",
      expected: `differences of at most ${TOLERANCE}`,
      got: String(worst),
    });
}
