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
import type { PassageEmbedder } from "../../retrieval/embed-passages.js";
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
  const { metric } = index;
  const embed = async (order: PartsOrder, own?: Pick<BuildIndexOptions, "encoder" | "progress">): Promise<void> => {
    // The hash is read once: the weights stand still.
    const embedder: PassageEmbedder = own?.encoder ?? {
      dimension: passages.dimension,
      hash: passages.hash,
      embedPassages: (texts) => passages.embedPassages(texts),
    };
    const about = { encoder: embedder, store, template, metric };
    requireSameVectors(order, vectorsName(provenanceOf(about)), led);
    const { start, count } = ownRows(order.missing.length, 1, led.group);
    const ranges = order.missing.slice(start, start + count);
    const total = ranges.reduce((sum, range) => sum + range.count, 0);
    await embedParts(order, ranges, about, (done) =>
      own?.progress?.(done, total, `passages embedded by each of ${led.group.size} workers`),
    );
  };
  const held = block === undefined ? {} : { block };
  return {
    isReady: (asked) => led.isLed && asked === encoder,
    embed: led.learn("embed passages", embed),
    open: ledSearch(led, (folder) => openShard(folder, led.group, { ...held, dtype: index.dtype, device }), device),
  };
}

function requireSameVectors({ name }: PartsOrder, own: string, { group }: LedGroup): void {
  if (own === name) return;
  throw new UserError({
    where: `worker ${group.rank}`,
    what: "embeds other vectors than worker 0: its retriever, its corpus or the title template differs",
    expected: name,
    got: own,
    remedy:
      "start all workers on machines of one kind, with one PyTorch and the same files, and go on from the last checkpoint: --resume auto",
  });
}
