/** What a cross-check is given: the config as it stands, and where to note what it finds. The checks themselves are cross-checks.ts' and check-*.ts'. The trap: a check goes on after a mistake, so it must not trust what it refused. */
import type { TandemConfig } from "./schema.js";

export interface Check {
  readonly config: TandemConfig;
  /** Notes a contradiction; the check goes on. */
  readonly refuse: (key: string, what: string, remedy: string) => void;
  readonly warn: (key: string, what: string) => void;
}
