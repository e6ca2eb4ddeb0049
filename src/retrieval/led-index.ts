/**
 * An index whose rows lie in the processes of a group, as the leader of the group sees it: its searches are tasks that all of them do, each over its own rows. For the others it answers nothing; they do what they are asked. The traps:
 * it can be searched in the leader's turn only; and the others keep their rows open until that turn is over or another index is searched, for nobody tells them that this one was given back.
 *
 * Q queries, D dimension.
 */
import type { LedGroup } from "../distributed/led-group.js";
import { noGrad } from "../engine/grad-mode.js";
import { scope } from "../engine/scope.js";
import { ops, Tensor } from "../engine/tensor.js";
import { requireSearchable, type Index, type SearchResult } from "./index-contract.js";

interface SearchOrder {
  readonly folder: string;
  readonly queries: number;
  readonly k: number;
  readonly isAll: boolean;
}

/**
 * Teaches a member of the group to search; all members do so alike.
 *
 * @param openShard opens this member's rows of an index folder, in an index that all search together
 * @param device where queries are, for the same last digits as without a group
 * @returns what opens an index for the leader
 */
export function ledSearch(led: LedGroup, openShard: (folder: string) => Index, device: string): (folder: string) => Index {
  let held: { readonly folder: string; readonly index: Index } | undefined;
  const close = (): void => {
    held?.index.dispose();
    held = undefined;
  };
  const at = (folder: string): Index => {
    if (held?.folder === folder) return held.index;
    close();
    held = { folder, index: openShard(folder) };
    return held.index;
  };
  const search = async ({ folder, queries, k, isAll }: SearchOrder, given_QD?: Tensor): Promise<SearchResult> => {
    const index = at(folder);
    const queries_QD = told(led, given_QD ?? [queries, index.dimension], device);
    try {
      return await (isAll && index.searchAll !== undefined ? index.searchAll(queries_QD, k) : index.search(queries_QD, k));
    } finally {
      queries_QD.dispose();
    }
  };
  const ask = led.learn("search", search, close);
  return (folder) => {
    const { size, dimension, metric } = at(folder);
    const searched = (queries_QD: Tensor, k: number, isAll: boolean): Promise<SearchResult> => {
      requireSearchable({ dimension }, queries_QD, k);
      if (queries_QD.size(0) === 0)
        return Promise.resolve({ k: Math.min(k, size), scores_QK: new Float32Array(), ids_QK: new Int32Array() });
      return ask({ folder, queries: queries_QD.size(0), k, isAll }, queries_QD);
    };
    return {
      size,
      dimension,
      metric,
      search: async (queries_QD, k) => searched(queries_QD, k, false),
      searchAll: async (queries_QD, k) => searched(queries_QD, k, true),
      dispose: () => {
        if (held?.folder === folder) close();
      },
    };
  };
}

/** The leader's queries, on every member. @param given the leader's own, or their shape */
function told({ group }: LedGroup, given: Tensor | readonly [number, number], device: string): Tensor {
  return scope(() =>
    noGrad(() => {
      const sent_QD = given instanceof Tensor ? given.toDevice("cpu", "f32", false, true).contiguous() : ops.zeros(given, "f32");
      group.copyFrom(0, [sent_QD]);
      return sent_QD.toDevice(device, "f32");
    }),
  ).keep();
}
