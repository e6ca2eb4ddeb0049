/** What a check of several keys is given: the configuration, and where its findings go. The checks themselves are check-config.ts and the files that it names. The trap: a check goes on after a finding, so it mustn't rely on what it found. */
import type { TandemConfig } from "./schema.js";

export interface Check {
  readonly config: TandemConfig;
  /** Notes a contradiction; the check goes on. */
  readonly refuse: (key: string, what: string, remedy: string) => void;
  readonly warn: (key: string, what: string) => void;
  /** Keys that are still to be given; the configuration has the schema's default there. */
  readonly missing?: readonly string[];
}
