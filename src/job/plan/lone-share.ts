/**
 * The share of the first of several workers where the others aren't there: it computes what that worker would compute, stands in for what the others would send, and counts what would be sent. For measuring a step of a share on one machine;
 * its losses mean nothing. The trap: time spent waiting for others isn't in what is measured; what is sent is counted so that a model of the link can add it.
 *
 * Shape letters: N rows of all workers, n of this one.
 */
import { ops, type Tensor } from "../../engine/tensor.js";
import { WHOLE, type Parameters, type Share } from "../../training/share.js";

/** What a worker would have exchanged with the others. */
export interface Traffic {
  /** Exchanges of a few bytes: how many times all workers wait for each other. */
  messages: number;
  /** Bytes of rows (embeddings) of all workers together, gathered by each. */
  rowBytes: number;
  /** Bytes of gradients summed over the workers. */
  gradientBytes: number;
}

/** A value goes as its length and its bytes. */
const MESSAGES_A_VALUE = 2;

/** @param size workers; with 1 it is the whole, and nothing would be sent */
export function loneShare(size: number): { readonly share: Share; readonly traffic: Traffic } {
  const traffic: Traffic = { messages: 0, rowBytes: 0, gradientBytes: 0 };
  const noted = (models: readonly Parameters[]): void => {
    for (const model of models) for (const weight of model.values()) traffic.gradientBytes += 4 * weight.numel;
  };
  if (size === 1)
    return {
      share: {
        ...WHOLE,
        backward: (models, loss, gradient) => {
          noted(models);
          WHOLE.backward(models, loss, gradient);
        },
      },
      traffic,
    };
  const told = <Value>(value: Value): Value => {
    traffic.messages += MESSAGES_A_VALUE;
    return value;
  };
  const share: Share = {
    rank: 0,
    size,
    own: (members) => members.filter((_, place) => place % size === 0),
    counts: told,
    terms: told,
    same: told,
    rows: (own_nD, count) => {
      traffic.messages += 1;
      traffic.rowBytes += 4 * count * own_nD.size(1);
      return standIns(own_nD, count);
    },
    backward: (models, loss, gradient) => {
      noted(models);
      if (loss?.requiresGrad === true) loss.backward(gradient);
    },
    total: told,
    ofFirst: told,
  };
  return { share, traffic };
}

/** N rows: this worker's, then copies of them without a graph. */
function standIns(own_nD: Tensor, count: number): Tensor {
  const own = own_nD.size(0);
  if (own >= count) return own_nD;
  const copies = Math.ceil(count / own) - 1;
  return ops.cat([own_nD, ...Array.from({ length: copies }, () => own_nD.detach())], 0).narrow(0, 0, count);
}
