/** Settings with which a run's loss soon is no number. Not a test: used by those of alarms. */

/** Gold contexts and a decay that multiplies the weights by −99 in each step: no number after a few. */
export const EXPLODE = [
  "train.schedule=[{phase: refresh}, {phase: generator, steps: 20, contexts: gold}]",
  "train.generator.lr=10",
  "train.generator.weight_decay=10",
  "train.generator.clip=null",
  "train.penalties.keyword.weight=0",
  "train.penalties.ngram_repeat.weight=0",
  "train.penalties.short_answer.weight=0",
];
