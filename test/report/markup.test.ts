/** Proves that nothing put into a template can become an element, an attribute or another character set's trick, and that what is markup stays so. Alone: npx vitest run test/report/markup.test.ts */
import fc from "fast-check";
import { parseHTML } from "linkedom";
import { describe, expect, it } from "vitest";
import { escapeHtml, htmlOf, markup, trusted } from "../../src/report/markup.js";

/** The page's elements and text as a parser sees them. */
function parsed(html: string): { readonly elements: number; readonly text: string; readonly title: string | null } {
  const { document } = parseHTML(`<!doctype html><html><body>${html}</body></html>`) as unknown as {
    document: {
      body: {
        querySelectorAll(selector: string): ArrayLike<unknown>;
        textContent: string;
        firstElementChild: { getAttribute(name: string): string | null };
      };
    };
  };
  const { body } = document;
  return { elements: body.querySelectorAll("*").length, text: body.textContent, title: body.firstElementChild.getAttribute("title") };
}

describe("markup", () => {
  it("shows any text as that text, in content and in attributes", () => {
    const hostile = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 40 }),
      fc.constantFrom(
        "<script>alert(1)</script>",
        `"><img src=x onerror=alert(1)>`,
        "</p></body>",
        "&lt;b&gt;",
        "<!--",
        "]]>",
        "' onclick='x",
        "&#60;b&#62;",
      ),
    );
    fc.assert(
      fc.property(hostile, hostile, (inside, title) => {
        const seen = parsed(htmlOf(markup`<p title="${title}">${inside}</p>`));
        const clean = (text: string): string => text.replace(/[\u007f-\u009f]/g, "\ufffd");
        expect(seen.elements).toBe(1);
        expect(seen.text).toBe(clean(inside));
        expect(seen.title).toBe(clean(title));
      }),
    );
  });

  it("joins lists, keeps markup, writes numbers and leaves out undefined", () => {
    const items = ["a & b", "c"].map((text) => markup`<li>${text}</li>`);
    expect(htmlOf(markup`<ul>${items}</ul>${undefined}${3}${trusted("<svg/>")}`)).toBe("<ul><li>a &amp; b</li><li>c</li></ul>3<svg/>");
  });

  it("replaces what HTML or UTF-8 can't hold", () => {
    expect(escapeHtml("a\u0000b\u001bc\ud800d\uffff")).toBe("a\ufffdb\ufffdc\ufffdd\ufffd");
    expect(escapeHtml("tab\tline\r\nend 😀")).toBe("tab\tline\nend 😀");
  });

  it("takes no object from a file for markup", () => {
    const read = JSON.parse('{"markup": "<b>", "Symbol(markup)": "<b>"}') as string;
    expect(() => htmlOf(markup`${read}`)).toThrow();
  });
});
