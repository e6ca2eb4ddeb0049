/** What a run directory takes on the disk, at its largest and at the end: arithmetic, but for the size of an answer. The trap: a checkpoint or an index is written beside those that are kept before one of them goes, so there is one more at the peak. */
import type { ForecastFacts } from "./forecast-facts.js";
import { deepestMined } from "./mined-entries.js";

interface DiskRow {
  readonly what: string;
  /** How many of it at the peak. */
  readonly count: number;
  readonly bytes: number;
  /** Bytes at the run's end. */
  readonly last: number;
}

export interface DiskForecast {
  readonly rows: readonly DiskRow[];
  readonly peak: number;
  readonly last: number;
}

/** A row and its score, in 4 bytes each. */
const FOUND_BYTES = 8;

export function forecastDisk(facts: ForecastFacts, passages: number): DiskForecast {
  const { config, store, work, states, models, dimension, faiss, questions, depth, measured } = facts;
  const several = (what: string, count: number, each: number, last = count): DiskRow => ({
    what,
    count,
    bytes: count * each,
    last: last * each,
  });
  const index = 4 * dimension * passages + (faiss === null || faiss === undefined ? 0 : faiss.each * passages + faiss.fixed);
  const answers = work.validations * questions.validated + questions.tested;
  const rows = [
    several("corpus", 1, (store.bytes / store.size) * passages),
    several("models at the start", 1, models.start),
    several("checkpoints", work.mostCheckpoints, states.checkpoint, work.lastCheckpoints),
    several("indexes", work.mostIndexes, index, work.lastIndexes),
    several("what was found for the training questions", work.mostSearches, FOUND_BYTES * depth * questions.learned),
    several("mined negatives", work.mines === 0 ? 0 : work.mostSearches, FOUND_BYTES * deepestMined(config) * questions.learned),
    several("answers", answers, measured?.answers.bytes ?? 0),
    several("models at the end", 1, models.exported),
  ].filter(({ bytes }) => bytes > 0);
  return {
    rows,
    peak: rows.reduce((sum, row) => sum + row.bytes, 0),
    last: rows.reduce((sum, row) => sum + row.last, 0),
  };
}
