/**
 * The keys that say what runs when: the entries of `train.schedule`, how its conditions are measured, and when training stops early. What a phase does is in schema-train.ts. The trap: 0 steps mean "not given" beside
 * epochs and minutes, so a resolved config of an older version reads as it did.
 */
import { parseCondition } from "./condition.js";
import { choice, integer, number, records, section, settings, text } from "./leaf.js";

const VALIDATION_METRIC = /^(em|f1|rouge_l|recall@\d+|mrr)$/;

const phaseFields = section("One phase of the schedule.", {
  phase: choice(["generator", "contrastive", "reader-distillation", "joint", "refresh", "mine"], {
    doc: "generator trains the generator, contrastive the retriever by gold passages, reader-distillation the retriever by what the generator makes of its passages, joint both at once; refresh embeds the corpus anew; mine chooses the hard negatives of the contrastive phases until the next mine, which without one choose their own as they begin.",
    default: "generator",
  }),
  steps: integer({
    doc: "Updates in this phase, at most; a refresh or mine takes none. 0: not given.",
    default: 0,
    minimum: 0,
    unit: "steps",
  }),
  epochs: number({
    doc: "In place of steps: so many times as many updates as one pass over the usable examples has, made steps before training begins.",
    default: null,
    minimum: 0,
    exclusiveMinimum: true,
    maximum: 1e6,
    unit: "epochs",
  }),
  minutes: number({
    doc: "Time spent in this phase's steps after which it ends, over all attempts; beside steps or epochs, or alone with decay constant.",
    default: null,
    minimum: 0,
    exclusiveMinimum: true,
    unit: "minutes",
  }),
  until: text({
    doc: "A condition that ends the phase: comparisons such as loss < 0.5 or em >= 0.3, joined by and, or.",
    default: null,
    grammar: parseCondition,
  }),
  when: text({
    doc: "A condition on the latest validation, looked at where the phase would begin: recall@1 < 0.9. Not met: the phase is skipped.",
    default: null,
    grammar: parseCondition,
  }),
  contexts: choice(["gold", "retrieved", "copying"], {
    doc: "Overrides train.generator.contexts in this phase. copying: training passages asked for their own words, three words for those that follow; a generator from scratch learns to copy so before it meets questions.",
    default: null,
  }),
  with: settings({
    doc: "Settings for this phase alone: keys of its section, and of the penalties: {lr: 1e-4, penalties: {short_answer: {weight: 0.1}}}. A key of the rate's course gives the phase a course of its own over its own steps.",
  }),
});

const entry = (phase: "generator" | "contrastive" | "refresh", steps: number) =>
  ({ phase, steps, epochs: null, minutes: null, until: null, when: null, contexts: null, with: null }) as const;

const alternation = [entry("generator", 1000), entry("contrastive", 200), entry("refresh", 0)];

export const schedule = records(phaseFields, {
  doc: "The phases in their order; {repeat: 3, phases: [...]} stands for its phases three times. The default is CoZyRAG's alternation.",
  default: [...alternation, ...alternation],
  repeats: true,
});

export const conditions = section("What until and when are decided by.", {
  window: integer({
    doc: "Steps of the phase whose losses are averaged for loss and loss/<term>; before there are so many, none of them is decided on.",
    default: 20,
    minimum: 1,
    unit: "steps",
  }),
});

export const earlyStopping = section("The rest of the training phases is skipped when validations bring nothing more.", {
  metric: text({
    doc: "The validation's metric that must rise. null: off.",
    default: null,
    pattern: VALIDATION_METRIC,
    wanted: "em, f1, rouge_l, recall@K or mrr",
  }),
  patience: integer({ doc: "Validations after training steps without a rise that end it.", default: 3, minimum: 1, unit: "validations" }),
  min_delta: number({ doc: "A smaller rise is none.", default: 0, minimum: 0 }),
});
