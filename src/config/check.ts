/** What a check of several keys at once gets: the config as it stands, and where to note what is wrong. The checks are cross-checks.ts and those that it calls. */
import type { TandemConfig } from "./schema.js";

export interface Check {
  readonly config: TandemConfig;
  /** Notes a contradiction; the check goes on. */
  readonly refuse: (key: string, what: string, remedy: string) => void;
  readonly warn: (key: string, what: string) => void;
}
