/**
 * Proves that FAISS's indexes are indexes (index-conformance.ts): flat, inverted lists, graphs, product and scalar quantizers, and what is put around them. Settings that look at everything find what exact
 * search finds. Alone: npx vitest run test/retrieval/faiss-conformance.test.ts
 */
import { describe } from "vitest";
import { METRICS } from "../../src/retrieval/index-contract.js";
import { faissIndex, faissMissing } from "./faiss-here.js";
import { describeIndex, type Kind } from "./index-conformance.js";

const EXHAUSTIVE: Kind = { finds: "exhaustive" };
const lossy = (recall: number, more: Partial<Kind> = {}): Kind => ({ finds: "approximate", lossy: true, trained: true, recall, ...more });

/** Factory string, search parameters, what may be asked of it. */
const KINDS: readonly (readonly [string, string, Kind])[] = [
  ["Flat", "", EXHAUSTIVE],
  ["IDMap,Flat", "", EXHAUSTIVE],
  ["IDMap2,Flat", "", EXHAUSTIVE],
  ["IVF8,Flat", "nprobe=8", { ...EXHAUSTIVE, trained: true }],
  ["IVF8,Flat", "nprobe=2", { finds: "approximate", trained: true, recall: 0.3 }],
  ["IVF8_HNSW4,Flat", "nprobe=8,quantizer_efSearch=16", { finds: "approximate", trained: true, recall: 0.8 }],
  ["HNSW8", "efSearch=400", { finds: "approximate", recall: 0.9 }],
  ["IDMap2,HNSW8,Flat", "efSearch=64", { finds: "approximate", recall: 0.8 }],
  ["SQfp16", "", lossy(0.9, { trained: false })],
  ["SQ8", "", lossy(0.9)],
  ["SQ4", "", lossy(0.5)],
  ["HNSW8_SQ8", "efSearch=64", lossy(0.7)],
  ["PQ6x4np", "", lossy(0.3)],
  ["PQ6x4fs", "", lossy(0.3)],
  ["IVF4,PQ6x4np", "nprobe=4", lossy(0.3)],
  ["IVF4,SQ8", "nprobe=4", lossy(0.9)],
  ["IVF4,PQ6x4np,RFlat", "nprobe=4,k_factor_rf=400", { ...EXHAUSTIVE, trained: true }],
  ["SQ4,RFlat", "k_factor_rf=400", { ...EXHAUSTIVE, trained: true }],
  ["PCA12,Flat", "", { ...EXHAUSTIVE, trained: true, lossy: true }],
  ["RR12,Flat", "", { ...EXHAUSTIVE, trained: true, lossy: true }],
  ["OPQ3,IVF2,PQ3x4np", "nprobe=2", lossy(0.15, { runs: 3 })],
];

describe.skipIf(faissMissing !== undefined)(`FAISS's indexes${faissMissing === undefined ? "" : `: ${faissMissing}`}`, () => {
  for (const [factory, search, kind] of KINDS)
    for (const metric of METRICS)
      // A rotation by PCA moves the origin, which an inner product doesn't bear.
      if (!(factory.startsWith("PCA") && metric !== "l2"))
        describeIndex(`${factory}${search === "" ? "" : ` with ${search}`}`, metric, faissIndex(factory, search), kind);
});
