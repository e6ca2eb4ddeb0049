/**
 * Does a passage hold an answer? By whole tokens, as DPR counts it, so that "art" isn't found in "party". For judging answers see
 * answer-normalise.ts: there punctuation goes, here every mark is a token.
 * The trap: an answer without any token ("" or white space) is in no passage; DPR's own code would find it in all.
 */

/** DPR's tokens: runs of letters, digits and combining marks; any other visible character alone. */
const TOKEN = /[\p{L}\p{N}\p{M}]+|[^\p{Z}\p{C}]/gu;

/**
 * A text in the form that is compared: its tokens in NFD and lower case, each between spaces (no token holds a space).
 * Make it once for a text that is compared with many.
 */
export function matchForm(text: string): string {
  const tokens = text.normalize("NFD").match(TOKEN);
  return tokens === null ? "" : ` ${tokens.map((token) => token.toLowerCase()).join(" ")} `;
}

/** {@link hasAnswer} on texts that are in {@link matchForm} already. */
export function formHasAnswer(passage: string, answers: readonly string[]): boolean {
  return answers.some((answer) => answer !== "" && passage.includes(answer));
}

/**
 * Whether the tokens of any answer stand in the passage in a row (Karpukhin et al. 2020, `has_answer` with `SimpleTokenizer`, uncased).
 */
export function hasAnswer(passage: string, answers: readonly string[]): boolean {
  return formHasAnswer(matchForm(passage), answers.map(matchForm));
}
