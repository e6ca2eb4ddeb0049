/**
 * Proves that progress is a bar on a terminal, a plain line every ten seconds in a pipe and nothing when quiet, with rate, time left and loss.
 * Alone: npx vitest run test/cli/progress.test.ts
 */
import { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { durationText, progressText, startProgress } from "../../src/cli/progress.js";

/** A stream that keeps what is written; with `isTTY` it has what a terminal has. */
function stream(isTTY: boolean): { stream: NodeJS.WriteStream; text: () => string } {
  let text = "";
  const writable = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      text += chunk.toString();
      done();
    },
  });
  const columns = { isTTY, columns: 120, rows: 40, clearLine: () => true, cursorTo: () => true, moveCursor: () => true };
  return { stream: Object.assign(writable, columns) as unknown as NodeJS.WriteStream, text: () => text };
}

const options = { label: "training", total: 1000, unit: "steps" };

describe("the text", () => {
  it("has share, rate, time left and loss", () => {
    expect(progressText(options, 250, 50_000, { loss: 1.23456 })).toBe(
      "training: 250/1000 steps (25 %), 5.0 steps/s, 2 min 30 s left, loss 1.2346",
    );
    expect(progressText(options, 1000, 2000, { note: "generator 1" })).toBe("training (generator 1): 1000/1000 steps (100 %), 500 steps/s");
  });

  it("takes a better guess at the time left than the mean rate gives", () => {
    expect(progressText(options, 250, 50_000, { secondsLeft: 61 })).toContain("5.0 steps/s, 1 min 1 s left");
  });

  it("counts the rate from where a resumed run began, and says none before the first", () => {
    expect(progressText({ ...options, start: 900 }, 950, 10_000, {})).toBe("training: 950/1000 steps (95 %), 5.0 steps/s, 10 s left");
    expect(progressText({ ...options, start: 900 }, 900, 0, {})).toBe("training: 900/1000 steps (90 %)");
    expect(progressText({ ...options, total: 0 }, 0, 10, {})).toBe("training: 0/0 steps (100 %)");
  });

  it("counts alone where nobody knows how many there are", () => {
    expect(progressText({ ...options, total: Infinity }, 250, 50_000, { secondsLeft: 61, loss: 2 })).toBe(
      "training: 250 steps, 5.0 steps/s, loss 2.0000",
    );
    const { stream: terminal, text } = stream(true);
    const progress = startProgress({ ...options, total: Infinity, stream: terminal });
    progress.update(7);
    progress.finish();
    expect(text()).toContain("training: 7 steps");
    expect(text()).not.toMatch(/NaN|Infinity|undefined/);
  });

  it.each([
    [4.4, "4 s"],
    [61, "1 min 1 s"],
    [3599.6, "1 h 0 min"],
    [7380, "2 h 3 min"],
  ])("of %d seconds is %s", (seconds, text) => {
    expect(durationText(seconds)).toBe(text);
  });
});

describe("in a pipe", () => {
  it("a line is written every ten seconds and at the end", () => {
    const { stream: pipe, text } = stream(false);
    let time = 0;
    const progress = startProgress({ ...options, stream: pipe, now: () => time });
    for (let step = 1; step <= 1000; step += 1) {
      time += 25;
      progress.update(step, { loss: 2 });
    }
    progress.finish();
    expect(text().trimEnd().split("\n")).toEqual([
      "training: 400/1000 steps (40 %), 40 steps/s, 15 s left, loss 2.0000",
      "training: 800/1000 steps (80 %), 40 steps/s, 5 s left, loss 2.0000",
      "training: 1000/1000 steps (100 %), 40 steps/s, loss 2.0000",
    ]);
    expect(text()).not.toMatch(/[\r\x1b]/); // eslint-disable-line no-control-regex
  });

  it("a short job is one line", () => {
    const { stream: pipe, text } = stream(false);
    const progress = startProgress({ ...options, total: 3, stream: pipe, now: () => 0 });
    progress.update(3);
    progress.finish();
    progress.finish();
    expect(text()).toBe("training: 3/3 steps (100 %)\n");
  });
});

describe("on a terminal", () => {
  it("a bar is drawn, from a synchronous loop too", () => {
    const { stream: terminal, text } = stream(true);
    const progress = startProgress({ ...options, stream: terminal });
    const until = Date.now() + 900;
    for (let step = 1; Date.now() < until; step += 1) progress.update(Math.min(999, step), { loss: 0.5 });
    const inLoop = text();
    progress.finish();
    expect(inLoop).toMatch(/training: \d+\/1000 steps .*loss 0\.5000/);
    expect(text()).toMatch(/[█#=].*training: 999\/1000 steps \(99 %\)/);
  });
});

describe("quiet", () => {
  it("nothing is written", () => {
    for (const isTTY of [true, false]) {
      const { stream: any, text } = stream(isTTY);
      const progress = startProgress({ ...options, quiet: true, stream: any });
      progress.update(5);
      progress.finish();
      expect(text()).toBe("");
    }
  });
});
