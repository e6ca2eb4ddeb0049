/**
 * Undoes one level of HTML escaping, as wikiextractor and MediaWiki's XML apply it. Not an HTML parser: only the names that escapers write.
 * The trap: once means once. `&amp;lt;` is an article that talks about `&lt;`, and a second pass would make it `<`.
 */

const NAMED: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00A0" };

/** `&amp; &lt; &gt; &quot; &apos; &nbsp;`, `&#39;` and `&#x27;`, each replaced once; everything else stays as it is. */
export function unescapeEntities(text: string): string {
  if (!text.includes("&")) return text;
  return text.replace(
    /&(?:(amp|lt|gt|quot|apos|nbsp)|#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6}));/g,
    (whole, name?: string, decimal?: string, hex?: string) => {
      if (name !== undefined) return NAMED[name] ?? whole;
      const codePoint = decimal === undefined ? Number.parseInt(hex ?? "", 16) : Number.parseInt(decimal, 10);
      const printable = codePoint > 0 && codePoint <= 0x10ffff && !(codePoint >= 0xd800 && codePoint <= 0xdfff);
      return printable ? String.fromCodePoint(codePoint) : whole;
    },
  );
}
