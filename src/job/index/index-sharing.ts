/**
 * The work of a run's index that all its workers do: each embeds parts of the corpus and holds and searches a range of the rows, when the first worker asks for it. What is made is what one worker makes. It decides nothing: when an index is
 * made is the first worker's business.
 * The traps: the others embed with their own encoder, which must be the first one's to the bit, so the name of the vectors is compared; and another encoder than the run's own (the base pair's, in the report) is known to the first
 * worker alone, which then works alone.
 */
import type { IndexConfig } from "../../config/schema.js";
import type { PassageStore } from "../../corpus/passage-store.js";
import type { LedGroup } from "../../distributed/led-group.js";
import { UserError } from "../../errors.js";
import { provenanceOf, vectorsName, type BuildIndexOptions, type EmbedTogether, type PartsOrder } from "../../retrieval/build-index.js";
import type { EmbeddingParts, PassageEmbedder } from "../../retrieval/embed-passages.js";
import type { Encoder } from "../../retrieval/encoder.js";
import type { Index } from "../../retrieval/index-contract.js";
import { ledSearch } from "../../retrieval/led-index.js";
import { openShard } from "../../retrieval/open-index.js";
import { ownRows } from "../../retrieval/shard-rows.js";
import { embedParts } from "../../retrieval/vector-parts.js";

/** What an index is made of, beside its encoder. */
interface IndexParts {
  readonly store: PassageStore;
  readonly template: string;
  readonly index: IndexConfig;
  readonly device: string;
  /** What embeds the passages where that isn't the encoder of the questions. */
  readonly passages?: Encoder | undefined;
}

export interface IndexSharing {
  /** Whether the other workers wait to be asked, and have this encoder. */
  isReady(encoder: Encoder): boolean;
  readonly embed: EmbedTogether;
  /** Opens an index folder that exact search reads, each worker its rows. */
  readonly open: (folder: string) => Index;
}

/**
 * Teaches this worker its part; all workers of a run do so alike.
 *
 * @param encoder the run's own, of the questions and, unless `parts` have another, of the passages
 * @param block vectors in one product, of which each worker's rows are a multiple
 */
export function shareIndex(led: LedGroup, parts: IndexParts, encoder: Encoder, block?: number): IndexSharing {
  const { store, template, index, device, passages = encoder } = parts;
  // The hash is read when it is asked for, and once: the weights stand still then.
  const embedder = (): PassageEmbedder => ({
    dimension: passages.dimension,
    hash: passages.hash,
    embedPassages: (texts) => passages.embedPassages(texts),
  });
  const held = block === undefined ? {} : { block };
  return {
    isReady: (asked) => led.isLed && asked === encoder,
    embed: shareEmbedding(led, { store, template, metric: index.metric }, embedder),
    open: ledSearch(led, (folder) => openShard(folder, led.group, { ...held, dtype: index.dtype, device }), device),
  };
}

/**
 * Teaches this worker to embed its parts of a corpus; all workers of a group do so alike.
 *
 * @param embedder what embeds here, asked for by each order of the leader
 * @param check called after each block; what it throws ends the work, and what is embedded stays
 * @returns by which the leader has the passages embedded
 */
export function shareEmbedding(
  led: LedGroup,
  about: Pick<EmbeddingParts, "store" | "template" | "metric">,
  embedder: () => PassageEmbedder,
  check: () => void = () => undefined,
): EmbedTogether {
  return led.learn("embed passages", async (order: PartsOrder, own?: Pick<BuildIndexOptions, "encoder" | "progress">): Promise<void> => {
    const parts = { ...about, encoder: own?.encoder ?? embedder() };
    requireSameVectors(order, vectorsName(provenanceOf(parts)), led);
    const { start, count } = ownRows(order.missing.length, 1, led.group);
    const ranges = order.missing.slice(start, start + count);
    const total = ranges.reduce((sum, range) => sum + range.count, 0);
    await embedParts(order, ranges, parts, (done) => {
      check();
      own?.progress?.(done, total, `passages embedded by each of ${led.group.size} workers`);
    });
  });
}

function requireSameVectors({ name }: PartsOrder, own: string, { group }: LedGroup): void {
  if (own === name) return;
  throw new UserError({
    where: `worker ${group.rank}`,
    what: "embeds other vectors than worker 0: its retriever, its corpus or the title template differs",
    expected: name,
    got: own,
    remedy:
      "start all workers on machines of one kind, with one PyTorch and the same files, and go on: the same command again, for training with --resume auto",
  });
}
