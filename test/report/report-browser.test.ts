/**
 * Proves in a real browser that the hostile page stays a page: nothing runs, nothing is asked for, nothing is taken; that it can be read on a phone, in the dark, on paper, and by assistive technology. Needs
 * Chromium, else it is skipped. Alone: npx vitest run test/report/report-browser.test.ts
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { reportHtml } from "../../src/report/report-html.js";
import { missingBrowser, openBrowser, type Browser } from "./browser.js";
import { attacks, hostilePage } from "./hostile-page.js";

describe.skipIf(missingBrowser !== undefined)(`Chromium${missingBrowser === undefined ? "" : ` (skipped: ${missingBrowser})`}`, () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), "tandem-page-"));
  const asked: string[] = [];
  let server: Server;
  let browser: Browser;
  let elsewhere: string;

  beforeAll(async () => {
    server = createServer((request, response) => {
      asked.push(request.url ?? "");
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    elsewhere = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    browser = await openBrowser();
    const file = path.join(folder, "report.html");
    writeFileSync(file, reportHtml(hostilePage(elsewhere)));
    await browser.open(pathToFileURL(file).href);
  });
  afterAll(async () => {
    await browser.close();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("runs nothing, asks for nothing and complains of nothing", async () => {
    expect(await browser.evaluate("document.title")).toContain("<script>");
    expect(await browser.evaluate("document.querySelectorAll('script, img, iframe, link, base, object').length")).toBe(0);
    expect(await browser.evaluate("location.protocol")).toBe("file:");
    expect(asked).toEqual([]);
    expect(browser.complaints).toEqual([]);
  });

  it("would be caught if it did: the same texts unescaped load and complain", async () => {
    const other = await openBrowser();
    try {
      const file = path.join(folder, "unescaped.html");
      writeFileSync(file, `<!doctype html><title>fresh</title>${attacks(elsewhere)[1] ?? ""}`);
      await other.open(pathToFileURL(file).href);
      expect(asked).toContain("/img");
    } finally {
      await other.close();
      asked.length = 0;
    }
  });

  it("applies its style under its own policy", async () => {
    expect(await browser.evaluate("getComputedStyle(document.querySelector('nav ul')).display")).toBe("flex");
  });

  it("follows light and dark", async () => {
    const ground = async (value: string): Promise<unknown> => {
      await browser.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value }] });
      return browser.evaluate("getComputedStyle(document.documentElement).backgroundColor");
    };
    expect(await ground("light")).toBe("rgb(255, 255, 255)");
    expect(await ground("dark")).toBe("rgb(13, 17, 23)");
    const line = await browser.evaluate(
      "getComputedStyle(document.querySelector('.charts svg path[stroke-width]') ?? document.querySelector('.charts svg g[stroke=\"var(--curve)\"]')).stroke",
    );
    expect(line).toBe("rgb(121, 192, 255)");
    await ground("light");
  });

  it("fits a phone: wide tables scroll in their own frames", async () => {
    await browser.send("Emulation.setDeviceMetricsOverride", { width: 380, height: 800, deviceScaleFactor: 1, mobile: false });
    expect(await browser.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(380);
    expect(await browser.evaluate("[...document.querySelectorAll('.scroll')].some((e) => e.scrollWidth > e.clientWidth)")).toBe(true);
    await browser.send("Emulation.clearDeviceMetricsOverride");
  });

  it("opens what is folded when printed", async () => {
    const height = (): Promise<unknown> => browser.evaluate("document.querySelector('#answers details').getBoundingClientRect().height");
    expect(await height()).toBeLessThan(40);
    await browser.send("Emulation.setEmulatedMedia", { media: "print" });
    expect(await height()).toBeGreaterThan(60);
    const { data } = (await browser.send("Page.printToPDF", {})) as { data: string };
    expect(Buffer.from(data, "base64").subarray(0, 5).toString()).toBe("%PDF-");
    await browser.send("Emulation.setEmulatedMedia", { media: "" });
  });

  it("is read aloud as headings, tables with captions, and drawings with names", async () => {
    await browser.send("Accessibility.enable");
    const { nodes } = (await browser.send("Accessibility.getFullAXTree")) as {
      nodes: { ignored: boolean; role?: { value: string }; name?: { value: string } }[];
    };
    const named = (role: string): string[] =>
      nodes.filter((node) => !node.ignored && node.role?.value === role).map((node) => node.name?.value ?? "");
    expect(
      named("heading").filter((name) => /^(Rows|Training|Validation|Answers before and after|Config|Source and versions)$/.test(name)),
    ).toHaveLength(6);
    const drawings = [...named("image"), ...named("img")];
    expect(drawings.length).toBeGreaterThan(5);
    for (const name of drawings) expect(name.trim().length).toBeGreaterThan(3);
    expect(named("table").some((name) => name.startsWith("Answers. rep-n"))).toBe(true);
    expect(named("rowheader")).toContain("trained-pair");
    expect(named("navigation")).toEqual(["Sections"]);
  });
});
