/** What the process that trains and the one that makes an index beside it say to each other. Plain data: it crosses between processes. The trap: the order holds all that the index is a function of, so that nothing is read again that may have changed. */
import type { IndexConfig } from "../../config/schema.js";
import type { Fault } from "../../errors.js";
import type { EncoderOverrides } from "../../retrieval/encoder.js";
import type { JobMessage } from "../reporter.js";

/** Everything that the second process needs. */
export interface BuildOrder {
  /** Folder of the snapshot. */
  readonly encoder: string;
  readonly overrides: EncoderOverrides;
  /** Folder of the passage store. */
  readonly corpus: string;
  readonly template: string;
  readonly indexFolder: string;
  readonly retrievalFolder: string;
  readonly index: IndexConfig;
  readonly device: string;
  readonly threads: number;
  readonly search: {
    readonly questions: readonly { readonly id: string; readonly question: string }[];
    readonly heldOut: readonly string[];
    readonly k: number;
    /** Rows of each question's gold passages, where mining compares with their scores. */
    readonly goldRows?: readonly (readonly number[])[];
  };
  /** What comes out must be called so. */
  readonly expected: { readonly index: string; readonly retrieval: string };
}

export type BuildMessage =
  Extract<JobMessage, { type: "progress" | "note" | "warning" }> | { readonly type: "fault"; readonly fault: Fault };
