/**
 * Whether autograd records. The mode belongs to the JavaScript thread; a body that returns a Promise would leave it before its work is done, so that throws.
 */
import { native } from "./native.js";

function withGradMode<T>(enabled: boolean, body: () => T): T {
  const engine = native();
  const before = engine.setGradMode(enabled);
  try {
    const result = body();
    if (result instanceof Promise) throw new Error("noGrad: the body returned a Promise; grad mode ends before it settles; await outside");
    return result;
  } finally {
    engine.setGradMode(before);
  }
}

/** Runs `body` without recording a graph. */
export function noGrad<T>(body: () => T): T {
  return withGradMode(false, body);
}

/** Runs `body` with recording on, inside a {@link noGrad} too. */
export function enableGrad<T>(body: () => T): T {
  return withGradMode(true, body);
}
