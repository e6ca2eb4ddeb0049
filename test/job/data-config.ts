/** The config's `data` section as the command composes it, for tests of what reads it. */
import { loadConfig } from "../../src/config/load-config.js";
import type { DataConfig } from "../../src/config/schema.js";

/** `words` as on the command line: `data=quickstart`, `data.questions.train=…`. */
export function dataConfig(...words: string[]): DataConfig {
  return loadConfig({ overrides: words }).config.data;
}
