/**
 * Proves that the page holds the report's figures, its curves and answers, that it is one file without scripts or loads, the same bytes every time, that hostile data stay text, and that its colours can be
 * read. A browser's view of the same page is report-browser.test.ts. Alone: npx vitest run test/report/report-html.test.ts
 */
import { parseHTML } from "linkedom";
import { describe, expect, it } from "vitest";
import { reportHtml, type ReportPage } from "../../src/report/report-html.js";
import { REPORT_STYLE } from "../../src/report/report-style.js";
import { hostilePage } from "./hostile-page.js";

interface Element {
  readonly textContent: string;
  readonly tagName: string;
  readonly id: string;
  getAttribute(name: string): string | null;
  getAttributeNames(): string[];
  querySelector(selector: string): Element | null;
  querySelectorAll(selector: string): Iterable<Element>;
}

const ELSEWHERE = "http://elsewhere.example";
const page = hostilePage(ELSEWHERE);
const html = reportHtml(page);
const { document } = parseHTML(html) as unknown as { document: Element };
const all = (selector: string): Element[] => [...document.querySelectorAll(selector)];
const changed = (change: Partial<ReportPage>): Element =>
  (parseHTML(reportHtml({ ...page, ...change })) as unknown as { document: Element }).document;

describe("the page", () => {
  it("is the same bytes every time", () => {
    expect(reportHtml(hostilePage(ELSEWHERE))).toBe(html);
  });

  it("holds no script, no handler, no link out and nothing to load", () => {
    expect(all("script, img, iframe, link, object, embed, base, form, audio, video")).toEqual([]);
    expect(all("style")).toHaveLength(1);
    for (const element of all("*")) {
      const names = element.getAttributeNames();
      expect(names.filter((name) => /^on|^style$|^src$|^srcset$/i.test(name))).toEqual([]);
      for (const name of ["href", "xlink:href"]) expect(element.getAttribute(name) ?? "#").toMatch(/^#/);
    }
    expect(all("style")[0]!.textContent).not.toMatch(/url\(|@import/);
  });

  it("allows its own style by hash and nothing else", () => {
    const policy = all("meta[http-equiv]").map((meta) => meta.getAttribute("content"));
    expect(policy).toHaveLength(1);
    expect(policy[0]).toMatch(/^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]{43}='; base-uri 'none'; form-action 'none'$/);
  });

  it("names every drawing, gives each its figures as a table, and heads every table", () => {
    const drawings = all("svg");
    expect(drawings.length).toBeGreaterThan(5);
    const ids = new Set(all("[id]").map(({ id }) => id));
    expect(ids.size).toBe(all("[id]").length);
    for (const svg of drawings) {
      expect(svg.getAttribute("role")).toBe("img");
      expect(ids).toContain(svg.getAttribute("aria-labelledby"));
    }
    for (const figure of all(".charts figure")) expect(figure.querySelector("table")).not.toBeNull();
    for (const head of all("th")) expect(head.getAttribute("scope")).toMatch(/^(row|col)$/);
    for (const link of all('a[href^="#"]')) expect(ids).toContain((link.getAttribute("href") ?? "").slice(1));
  });
});

describe("what it shows", () => {
  const rowsOf = (id: string): Map<string, string[]> =>
    new Map(
      all(`table:has(#${id}-caption) tbody tr`).map((row) => [
        row.querySelector("th")?.textContent ?? "",
        [...row.querySelectorAll("td")].map(({ textContent }) => textContent.replace(/\s+/g, " ").trim()),
      ]),
    );

  it("has the six rows with intervals", () => {
    const shown = rowsOf("answers");
    for (const { name, em, em_interval: interval } of page.report.rows)
      expect(shown.get(name)?.[0]).toBe(`${em.toFixed(3)} ${interval[0].toFixed(3)}–${interval[1].toFixed(3)}`);
  });

  it("has each row's difference from the base pair with its p, and none for the base pair itself", () => {
    const shown = rowsOf("differences");
    const { difference, p } = page.report.rows.find(({ name }) => name === "trained-pair")!.against_base!["em"]!;
    expect(shown.get("trained-pair")?.[0]).toMatch(
      new RegExp(`^\\${difference < 0 ? "-" : "+"}${Math.abs(difference).toFixed(3)} .* p = ${p.toFixed(3)}$`),
    );
    expect(shown.has("base-pair")).toBe(false);
    expect(
      all("#rows .note")
        .map(({ textContent }) => textContent)
        .join(" "),
    ).toMatch(/whole documents \(8\) changing sides.*Every sign change was tried.*Smallest p that could be reached: 0\.008 to/s);
  });

  it("has how often each row gave the unknown answer, which is somebody's text", () => {
    const { abstention } = page.report.rows[0]!;
    expect(rowsOf("abstention").get(page.report.rows[0]!.name)?.[0]).toBe(String(abstention!.with_answer));
    expect(all("#abstention-caption")[0]!.textContent).toContain(abstention!.unknown_answer);
    expect(all("script")).toEqual([]);
  });

  it("draws every metric of the log and every score of the validation", () => {
    const names = (section: string): string[] => all(`#${section} figcaption strong`).map(({ textContent }) => textContent);
    expect(names("training")).toEqual(["loss", ...Object.keys(page.metrics[0]!).slice(3), ...names("training").slice(2)]);
    expect(names("training")).toHaveLength(5);
    expect(names("validation")).toHaveLength(2);
    // The path of the loss: its ten points, the last two beyond the refresh.
    const paths = [...document.querySelector("#training svg")!.querySelectorAll("path[d^=M]")].map((path) => path.getAttribute("d") ?? "");
    expect(paths.filter((d) => (d.match(/L/g) ?? []).length === 5)).toHaveLength(1);
    expect(all("ol.phases li")).toHaveLength(3);
  });

  it("groups the answers by what changed, and shows both sides with their passages", () => {
    const heads = all("#answers h3").map(({ textContent }) => textContent);
    const count = (was: number, is: number): number =>
      page.trained.filter((entry, i) => entry.em === is && page.base[i]!.em === was).length;
    expect(heads[0]).toContain(`Wrong before, right after ${count(0, 1)} question`);
    expect(heads[1]).toContain(`Right before, wrong after ${count(1, 0)} question`);
    expect(count(0, 1)).toBeGreaterThan(0);
    for (const article of all("#answers article")) {
      expect([...article.querySelectorAll("h5")].map(({ textContent }) => textContent.split(" ")[0])).toEqual(["before", "after"]);
      expect([...article.querySelectorAll("details li")]).toHaveLength(2);
    }
  });

  it("says what isn't there instead of showing nothing", () => {
    const bare = changed({ base: [], trained: [], metrics: [], validation: [], overrides: [] });
    expect(bare.querySelector("#training")!.textContent).toContain("there are no curves");
    expect(bare.querySelector("#validation")!.textContent).toContain("wasn't validated");
    expect(bare.querySelector("#answers")!.textContent).toContain("there are no answers to show");
    expect(bare.querySelector("#config")!.textContent).toContain("Nothing was changed");
    const alone = changed({ base: [] });
    expect(alone.querySelector("#answers")!.textContent).toContain("the trained pair's answers alone");
  });
});

describe("its colours", () => {
  /** Relative luminance and contrast of WCAG 2.1. */
  const luminance = (colour: string): number => {
    const full = colour.length === 4 ? colour.replace(/[0-9a-f]/g, "$&$&") : colour;
    const [r = 0, g = 0, b = 0] = [1, 3, 5]
      .map((at) => parseInt(full.slice(at, at + 2), 16) / 255)
      .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a: string, b: string): number => {
    const [light = 0, dark = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (light + 0.05) / (dark + 0.05);
  };
  const themes = [...REPORT_STYLE.matchAll(/:root \{([^}]*)\}/g)].map(
    (match) =>
      new Map([...(match[1] ?? "").matchAll(/--([a-z]+): (#[0-9a-f]+)/g)].map(([, name = "", colour = ""]) => [name, colour] as const)),
  );

  it.each(["light", "dark", "print"].map((name, i) => [name, themes[i]!] as const))(
    "%s: texts and lines stand out from what is behind them",
    (_, theme) => {
      for (const ground of ["page", "card"])
        for (const name of ["text", "quiet", "curve", "right", "wrong", "refresh"])
          expect(contrast(theme.get(name) ?? "", theme.get(ground) ?? ""), `${name} on ${ground}`).toBeGreaterThan(4.5);
    },
  );
});

describe("numbers that can't be drawn", () => {
  const shown = (change: Partial<ReportPage>): string => changed(change).querySelector("body")?.textContent ?? "";

  it("are named and counted, and no log that has lines is called empty", () => {
    const nothing = [1, 2, 3].map((step) => ({ step, phase: "generator", loss: Number.NaN }));
    const only = shown({ metrics: nothing });
    expect(only).toContain("loss: nothing to draw; none of its 3 values is finite.");
    expect(only).not.toContain("metrics.jsonl is empty");
    const beside = shown({ metrics: nothing.map((line) => ({ ...line, rate: 0.1 })) });
    expect(beside).toContain("loss: nothing to draw; none of its 3 values is finite.");
    expect(shown({ metrics: [] })).toContain("metrics.jsonl is empty");
  });
});
