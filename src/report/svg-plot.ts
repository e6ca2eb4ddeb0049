/**
 * Observable Plot without a browser: a document of linkedom's to draw into, and the drawing as SVG text for a page. What is drawn is the callers' business. The traps: Plot gives every drawing a style element
 * of its own, which the page has once (report-style.ts); and its coordinates carry digits that only differ by rounding, so they are cut to hundredths of a pixel: one run gives the same bytes.
 */
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { trusted, type Markup } from "./markup.js";

/** What is used of an element; the library's own types need a browser's. */
interface SvgElement {
  readonly outerHTML: string;
  setAttribute(name: string, value: string): void;
  getAttribute(name: string): string | null;
  removeAttribute(name: string): void;
  querySelectorAll(selector: string): Iterable<SvgElement>;
  remove(): void;
}

const PLACES = ["x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height", "transform", "d"];

/**
 * Draws, as one SVG element that assistive technology sees as a single image.
 * @param labelledBy id of the element that names it
 */
export function svgPlot(options: Plot.PlotOptions, labelledBy: string): Markup {
  // linkedom's type of a document names a browser's, which isn't there.
  const { document } = parseHTML("<!doctype html><html><body></body></html>") as { document: unknown };
  const svg = Plot.plot({ ...options, document: document as never }) as unknown as SvgElement;
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-labelledby", labelledBy);
  for (const style of svg.querySelectorAll("style")) style.remove();
  for (const element of svg.querySelectorAll("*")) {
    for (const name of ["aria-label", "aria-description", "aria-hidden"]) element.removeAttribute(name);
    for (const name of PLACES) {
      const value = element.getAttribute(name);
      if (value !== null)
        element.setAttribute(
          name,
          value.replace(/-?\d+\.\d{3,}(e-?\d+)?/g, (number) => String(Number(Number(number).toFixed(2)))),
        );
    }
  }
  return trusted(svg.outerHTML);
}
