/**
 * SQuAD files as a corpus: each article with its contexts, in order, a blank line between them, so that `split: blank` gives the contexts back as passages. Questions of the same
 * files are squad-questions.ts's. The trap: the document is the title, so that files which share an article share a document.
 */
import type { Article, ArticleSource, SkippedArticles } from "./article.js";
import { listSourceFiles } from "./source-files.js";
import { readSquad } from "./squad-file.js";

/** One file (any name), or a folder of `*.json`. @throws UserError if there is none; reading throws on a file that isn't SQuAD's. */
export function openSquad(root: string): ArticleSource {
  const listed = listSourceFiles(root, (name) => name.endsWith(".json"), "SQuAD's JSON (train-v1.1.json, …)");
  const skipped: SkippedArticles = { empty: 0, redirects: 0 };
  let filesRead = 0;
  // eslint-disable-next-line @typescript-eslint/require-await -- the contract is asynchronous, JSON.parse isn't
  async function* articles(): AsyncGenerator<Article> {
    for (const file of listed.files) {
      for (const { title, paragraphs } of readSquad(file)) {
        const contexts = paragraphs.map(({ context }) => context.trim()).filter((context) => context !== "");
        if (contexts.length === 0) skipped.empty += 1;
        else yield { document: title, title, text: contexts.join("\n\n") };
      }
      filesRead += 1;
    }
  }
  return {
    format: "squad",
    files: listed.files,
    ignoredFiles: listed.ignored,
    bytes: listed.bytes,
    skipped,
    bytesRead: () => Math.round((listed.bytes * filesRead) / listed.files.length),
    articles,
  };
}
