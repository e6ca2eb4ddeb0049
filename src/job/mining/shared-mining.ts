/**
 * The work of mining that the processes of a group do together: each searches its rows of an exact index, and scores some of a cross-encoder's batches, all of the same pairs in the same batches as one process would make of them, so that
 * rows and scores are that process's. The traps: teacher and index must be the same everywhere, so the teacher's files and what an index says of itself are compared; rows are shared out in blocks of 65,536, so that fewer are one
 * process's; and an encoder as teacher embeds each text once in seconds, BM25 and FAISS search in this process's memory: none of these is shared out.
 *
 * N pairs.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import type { LedGroup } from "../../distributed/led-group.js";
import { noGrad } from "../../engine/grad-mode.js";
import { scope } from "../../engine/scope.js";
import { tensor, toFloat32Array } from "../../engine/tensor.js";
import { UserError } from "../../errors.js";
import type { Index } from "../../retrieval/index-contract.js";
import { ledSearch } from "../../retrieval/led-index.js";
import { openShard } from "../../retrieval/open-index.js";
import { hashFile } from "../../storage/content-hash.js";
import type { SearchFolders } from "../index/open-search.js";
import { scorePairs, teacherHash, type JudgeOrder, type ScorePairs } from "./teacher.js";

/** How the leader mines with the others' help. */
export interface SharedMining {
  readonly scorePairs: ScorePairs;
  /** Opens an index folder that exact search reads, each member its rows. */
  readonly openExact: (folder: string) => Index;
}

/**
 * Teaches this member its part of `tandem mine`; all members of a group do so alike.
 *
 * @param folders what is searched; undefined: BM25 alone
 * @param device where this member computes
 * @throws UserError where another member's folder holds another index
 */
export function shareMining(led: LedGroup, folders: SearchFolders | undefined, device: string): SharedMining {
  if (folders !== undefined && "folder" in folders.index) requireSameIndex(led, folders.index.folder);
  const held = { device, ...(folders?.dtype === undefined ? {} : { dtype: folders.dtype }) };
  return {
    scorePairs: shareJudging(led, device),
    openExact: ledSearch(led, (folder) => openShard(folder, led.group, held), device),
  };
}

/**
 * Teaches this member to judge its batches; all members of a group do so alike.
 *
 * @param device where this member's teacher is
 * @returns what judges for the leader: in its turn all do, at any other time it does so alone
 */
export function shareJudging(led: LedGroup, device: string): ScorePairs {
  const { group } = led;
  const judgeTogether = led.learnAtOnce(
    "judge pairs",
    ({ order, content }: { order: JudgeOrder; content: string }, progress?: (pairs: number) => void): Float32Array => {
      requireSameTeacher(order, content, led);
      const own = scorePairs(order, device, progress, (batch) => batch % group.size === group.rank);
      return noGrad(() =>
        scope(() => {
          // Whoever didn't score a pair has 0 for it, and a sum of one number and zeros is that number.
          const scores_N = tensor(own);
          group.sum([scores_N]);
          return toFloat32Array(scores_N);
        }),
      );
    },
  );
  return (order, own, progress) =>
    led.isLed && order.kind === "cross-encoder" && order.pairs.length > 0
      ? judgeTogether({ order, content: order.content ?? teacherHash(order.path) }, progress)
      : scorePairs(order, own, progress);
}

function requireSameTeacher({ path: folder }: JudgeOrder, content: string, { group }: LedGroup): void {
  const own = group.rank === 0 ? content : teacherHash(folder);
  if (own === content) return;
  throw new UserError({
    where: `worker ${group.rank}: ${folder}`,
    what: "is another teacher than worker 0's of that name",
    expected: content.slice(0, 16),
    got: own.slice(0, 16),
    remedy: "give a folder that all nodes share (train.contrastive.mining.teacher.path)",
  });
}

/** Folders of a run are named by what they hold; one of the user's own is known by what it says of itself. */
function requireSameIndex({ group }: LedGroup, folder: string): void {
  const file = path.join(folder, "provenance.json");
  const [first = "", ...others] = group.gatherValues("index", existsSync(file) ? hashFile(file) : "");
  const rank = 1 + others.findIndex((own) => own !== first);
  if (rank === 0) return;
  throw new UserError({
    where: `worker ${rank}: ${folder}`,
    what: "is another index than worker 0's of that name",
    expected: first.slice(0, 16),
    got: others[rank - 1]?.slice(0, 16) ?? "",
    remedy: "give a folder that all nodes share (--index)",
  });
}
