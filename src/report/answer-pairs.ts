/**
 * The same questions answered before and after: by the base pair and by the trained pair, each with the passages that the generator read. Questions are grouped by what training the retriever changed, so that
 * what got worse stands beside what got better. It shows a few of each group, the first in the file's order, and says how many there are; all of them are in the answers' JSON lines. The trap: every text here
 * comes from a corpus, a question file or a model, and may hold anything.
 */
import type { Answered, ShownHit } from "../evaluation/answered.js";
import { markup, type Markup } from "./markup.js";

/** Shown of each group. */
const MOST_ANSWERS = 6;
/** Shown of each answer. */
const MOST_PASSAGES = 5;

interface Pair {
  readonly before: Answered | undefined;
  readonly after: Answered;
}

/** @param base answers of the base pair to the same questions, or none */
export function answerPairs(base: readonly Answered[], trained: readonly Answered[]): Markup {
  if (trained.length === 0) return markup`<p>The trained pair wasn't among the rows: there are no answers to show.</p>`;
  const before = new Map(base.map((entry) => [entry.id, entry]));
  const pairs = trained.map((after): Pair => ({ before: before.get(after.id), after }));
  if (base.length === 0)
    return markup`<p>The base pair wasn't among the rows: these are the trained pair's answers alone.</p>${group("Answers", pairs)}`;
  const grouped = (was: number, is: number): Pair[] => pairs.filter(({ before: own, after }) => own?.em === was && after.em === is);
  return markup`<p>Before: the trained generator reading what the retriever found as the run began. After: the same generator reading what the trained retriever finds. Right means an exact match.</p>
${group("Wrong before, right after", grouped(0, 1))}
${group("Right before, wrong after", grouped(1, 0))}
${group("Wrong both times", grouped(0, 0))}
${group("Right both times", grouped(1, 1))}`;
}

function group(title: string, pairs: readonly Pair[]): Markup {
  const shown = pairs.slice(0, MOST_ANSWERS);
  const count = pairs.length === 1 ? "1 question" : `${pairs.length} questions`;
  const first = shown.length < pairs.length ? `, the first ${shown.length} are shown` : "";
  return markup`<h3>${title} <span class="count">${count}${first}</span></h3>
${shown.map(pairArticle)}`;
}

function pairArticle({ before, after }: Pair): Markup {
  return markup`<article>
<h4 dir="auto">${after.question}</h4>
<p>gold: ${after.answers.map((answer, i) => markup`${i > 0 ? " / " : ""}<bdi>${answer}</bdi>`)}</p>
<div class="pair">${before === undefined ? undefined : side("before", before)}${side("after", after)}</div>
</article>
`;
}

function side(name: string, entry: Answered): Markup {
  const mark = entry.em === 1 ? "right" : entry.f1 > 0 ? `F1 ${entry.f1.toFixed(2)}` : "wrong";
  const passages = entry.passages.slice(0, MOST_PASSAGES);
  const more = entry.passages.length - passages.length;
  return markup`<section class="${entry.em === 1 ? "right" : "wrong"}"><h5>${name} <span class="mark">${mark}</span></h5>
<p class="answer" dir="auto">${entry.prediction === "" ? markup`<em>no answer</em>` : entry.prediction}</p>
${passages.length === 0 ? markup`<p class="note">no passage</p>` : markup`<details><summary>${passages.length === 1 ? "1 passage" : `${passages.length} passages`}</summary><ol>${passages.map((passage) => passageItem(passage, entry.gold))}</ol>${more > 0 ? markup`<p class="note">and ${more} more</p>` : undefined}</details>`}
</section>`;
}

function passageItem({ id, title, score, text }: ShownHit, gold: readonly string[]): Markup {
  const shownScore = score === null || Number.isNaN(score) ? "no score" : score.toFixed(4);
  return markup`<li><p><strong><bdi>${title}</bdi></strong> <span class="note">${shownScore}${gold.includes(id) ? ", gold" : ""}</span></p><p dir="auto" class="passage">${text}</p></li>`;
}
