/**
 * The keys and values that a decoder has computed so far, for a batch. Memory for `capacity` tokens is taken once; a step writes its part in place, so decoding T tokens copies nothing
 * T times. It isn't for training: what is written in place has no gradient. The trap: its tensors belong to no scope; call `dispose`.
 *
 * Letters: B batch, H heads, D head width, T new tokens, S tokens so far, C capacity.
 */
import { noGrad } from "../engine/grad-mode.js";
import { ops, type Tensor } from "../engine/tensor.js";
import { scope } from "../engine/scope.js";

/** Added to the score of what may not be seen. Far below any score, and finite in f16, so that a row that sees nothing gives no NaN. */
export const HIDDEN = -30_000;

interface Layer {
  readonly keys_BHCD: Tensor;
  readonly values_BHCD: Tensor;
}

export class KvCache {
  /** Tokens that it has room for. */
  readonly capacity: number;
  readonly #layers: (Layer | undefined)[] = [];
  #length = 0;
  /** 0 or {@link HIDDEN} for every token; undefined while no row has padding. */
  #bias_BC: Tensor | undefined;
  /** Real tokens of each row so far, i64: the position of the next one. */
  #count_B1: Tensor | undefined;

  /** @param capacity the most tokens of a row, padding included: prompt and answer. */
  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** Tokens of each row so far, padding included. */
  get length(): number {
    return this.#length;
  }

  /** Whether some row has padding, so that attention needs a mask. */
  get hasPadding(): boolean {
    return this.#bias_BC !== undefined;
  }

  /** Writes new keys and values (B,H,T,D) after the old ones; gives back all of them (B,H,S,D). `advance` follows when every layer has done so. */
  extend(layer: number, keys_BHTD: Tensor, values_BHTD: Tensor): [Tensor, Tensor] {
    const [batch, heads, added, width] = keys_BHTD.shape as [number, number, number, number];
    const total = this.#length + added;
    if (total > this.capacity) throw new RangeError(`KvCache: room for ${this.capacity} tokens, ${total} are asked for`);
    const store = (this.#layers[layer] ??= {
      keys_BHCD: ops.empty([batch, heads, this.capacity, width], keys_BHTD.dtype, keys_BHTD.device).keep(),
      values_BHCD: ops.empty([batch, heads, this.capacity, width], values_BHTD.dtype, values_BHTD.device).keep(),
    });
    noGrad(() => {
      store.keys_BHCD.narrow(2, this.#length, added).copy_(keys_BHTD);
      store.values_BHCD.narrow(2, this.#length, added).copy_(values_BHTD);
    });
    return [store.keys_BHCD.narrow(2, 0, total), store.values_BHCD.narrow(2, 0, total)];
  }

  /**
   * Takes note of the new tokens' padding and gives the score bias (B,S) and the new tokens' positions (B,T), or undefined when nothing is padded.
   *
   * @param mask_BT 1 for a token, 0 for padding; undefined: all are tokens.
   */
  notePadding(
    mask_BT: Tensor | undefined,
    batch: number,
    added: number,
    device: string,
  ): { bias_BS: Tensor; positions_BT: Tensor } | undefined {
    if (mask_BT === undefined && this.#bias_BC === undefined) return undefined;
    const bias_BC = (this.#bias_BC ??= ops.zeros([batch, this.capacity], "f32", device).keep());
    const before_B1 = (this.#count_B1 ??= ops.full([batch, 1], this.#length, "i64", device).keep());
    const real_BT = mask_BT?.toDtype("i64") ?? ops.ones([batch, added], "i64", device);
    if (mask_BT !== undefined) bias_BC.narrow(1, this.#length, added).copy_(real_BT.eq(0).toDtype("f32").mul(HIDDEN));
    const seen_BT = before_B1.add(real_BT.cumsum(1));
    before_B1.copy_(seen_BT.narrow(1, added - 1, 1));
    return { bias_BS: bias_BC.narrow(1, 0, this.#length + added), positions_BT: seen_BT.sub(1).clampMin(0) };
  }

  /** The step is over: `added` tokens stand in every layer. */
  advance(added: number): void {
    this.#length += added;
  }

  /** Keeps only these rows (i64, any order, repeats allowed): drops finished answers, or follows beams. Copies what is kept. */
  selectRows(rows_N: Tensor): void {
    scope(() =>
      noGrad(() => {
        this.#layers.forEach((layer, place) => {
          if (layer === undefined) return;
          this.#layers[place] = { keys_BHCD: this.#rows(layer.keys_BHCD, rows_N), values_BHCD: this.#rows(layer.values_BHCD, rows_N) };
        });
        if (this.#bias_BC !== undefined) this.#bias_BC = replaced(this.#bias_BC, this.#bias_BC.indexSelect(0, rows_N));
        if (this.#count_B1 !== undefined) this.#count_B1 = replaced(this.#count_B1, this.#count_B1.indexSelect(0, rows_N));
      }),
    );
  }

  /**
   * A cache of its own with this one's single row `copies` times: what many rows begin with is computed once and stays. Without padding only.
   *
   * @param capacity of the new one
   */
  repeated(copies: number, capacity: number): KvCache {
    if (this.hasPadding) throw new Error("KvCache: a row with padding isn't repeated");
    const made = new KvCache(capacity);
    made.#length = this.#length;
    const wider = (store_1HCD: Tensor): Tensor => {
      const [, heads, , width] = store_1HCD.shape as [number, number, number, number];
      const rows_BHCD = ops.empty([copies, heads, capacity, width], store_1HCD.dtype, store_1HCD.device).keep();
      rows_BHCD.narrow(2, 0, this.#length).copy_(store_1HCD.narrow(2, 0, this.#length));
      return rows_BHCD;
    };
    scope(() =>
      noGrad(() => {
        this.#layers.forEach((layer, place) => {
          if (layer !== undefined) made.#layers[place] = { keys_BHCD: wider(layer.keys_BHCD), values_BHCD: wider(layer.values_BHCD) };
        });
      }),
    );
    return made;
  }

  /** Frees everything; the cache is empty and can be used again, for another batch too. */
  dispose(): void {
    for (const layer of this.#layers) {
      layer?.keys_BHCD.dispose();
      layer?.values_BHCD.dispose();
    }
    this.#bias_BC?.dispose();
    this.#count_B1?.dispose();
    this.#layers.length = 0;
    this.#bias_BC = undefined;
    this.#count_B1 = undefined;
    this.#length = 0;
  }

  #rows(store_BHCD: Tensor, rows_N: Tensor): Tensor {
    const [, heads, , width] = store_BHCD.shape as [number, number, number, number];
    const chosen = ops.empty([rows_N.size(0), heads, this.capacity, width], store_BHCD.dtype, store_BHCD.device);
    chosen.narrow(2, 0, this.#length).copy_(store_BHCD.narrow(2, 0, this.#length).indexSelect(0, rows_N));
    return replaced(store_BHCD, chosen);
  }
}

function replaced(before: Tensor, after: Tensor): Tensor {
  before.dispose();
  return after.keep();
}
