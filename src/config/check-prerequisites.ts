/**
 * What a phase reads must be there before it: an index that a refresh built, and, where the reader teaches the retriever, a generator that has learnt to read. The first is refused, since such a run would end at its start, with
 * models and corpus made for nothing; the second warns. The trap: a refresh that `when` may pass over builds nothing that others can rely on.
 */
import type { Check } from "./check-context.js";
import { contextsOfEntries } from "./entry-contexts.js";
import { READER_PHASES } from "./schema-train.js";

export function checkPrerequisites(check: Check): void {
  checkIndexes(check);
  checkReaders(check);
}

/** The training's own check (src/training/schedule.ts) says the same to whoever builds a schedule in code. */
function checkIndexes({ config, refuse }: Check): void {
  const { schedule } = config.train;
  const refreshes = schedule.map(({ phase }) => phase === "refresh");
  const certain = schedule.findIndex(({ when }, index) => refreshes[index] === true && when === null);
  contextsOfEntries(config.train).forEach((contexts, index) => {
    const { phase, contexts: own } = schedule[index] ?? {};
    const isReader = READER_PHASES.includes(phase ?? "");
    if ((contexts !== "retrieved" && !isReader) || (certain !== -1 && certain < index)) return;
    const missing = refreshes.slice(0, index).includes(true)
      ? "the refresh before it may be passed over (when)"
      : "no refresh stands before it";
    const entry = `train.schedule.${index}`;
    if (isReader)
      refuse(`${entry}.phase`, `is ${phase ?? ""}, which reads what an index finds, but ${missing}`, "put {phase: refresh} before it");
    else if (own === null)
      refuse(
        `${entry}.phase`,
        `is ${phase ?? ""} and reads what an index finds (train.generator.contexts is ${config.train.generator.contexts}), but ${missing}`,
        "put {phase: refresh} before it, or give it contexts: gold",
      );
    else refuse(`${entry}.contexts`, `is ${own}, but ${missing}`, "put {phase: refresh} before it, or contexts: gold");
  });
}

/** Once: what is true of the first such phase is true of those behind it. */
function checkReaders({ config, warn, missing = [] }: Check): void {
  const { schedule } = config.train;
  // One that is still to be given isn't null.
  if (config.generator.path !== null || missing.includes("generator.path")) return;
  const first = schedule.findIndex(({ phase }) => READER_PHASES.includes(phase));
  if (first === -1 || schedule.slice(0, first).some(({ phase }) => phase === "generator")) return;
  warn(
    `train.schedule.${first}.phase`,
    `is ${schedule[first]?.phase ?? ""}, whose reader is a generator that has learnt nothing yet, and teaches the retriever little: name one that reads (generator.path), or put a generator phase before it`,
  );
}
