/**
 * Who frees tensors. JavaScript's collector doesn't see native memory and in a synchronous loop its finalisers never run, so lifetime is explicit: a scope
 * frees at its end every tensor made in it that isn't returned or kept. Not for asynchronous code: a scope given a Promise throws, since its tensors would be gone
 * before the Promise settles.
 */
import { native } from "./native.js";
import { TensorHandle, watchForLeak } from "./tensor-handle.js";

/** Every tensor reachable through arrays, plain objects, Maps and Sets. */
function tensorsIn(value: unknown, found: Set<TensorHandle>, seen: Set<object>): void {
  if (typeof value !== "object" || value === null || seen.has(value) || ArrayBuffer.isView(value)) return;
  seen.add(value);
  if (value instanceof TensorHandle) found.add(value);
  else if (value instanceof Map) for (const entry of value) tensorsIn(entry, found, seen);
  else if (Array.isArray(value) || value instanceof Set) for (const entry of value) tensorsIn(entry, found, seen);
  else for (const entry of Object.values(value)) tensorsIn(entry, found, seen);
}

/**
 * Runs `body` and frees what it made, except the tensors in its result (arrays, objects and Maps are searched), which the scope around this one then owns; outside
 * every scope they live until `dispose()`.
 *
 * @throws Error when `body` returns a Promise.
 */
export function scope<T>(body: () => T): T {
  const engine = native();
  engine.openScope();
  let kept: number[] = [];
  let survivors: TensorHandle[] = [];
  try {
    const result = body();
    if (result instanceof Promise) {
      result.catch(() => undefined);
      throw new Error(
        "scope: the body returned a Promise; a scope frees its tensors before the Promise settles; await outside and scope the synchronous parts",
      );
    }
    const found = new Set<TensorHandle>();
    tensorsIn(result, found, new Set());
    survivors = [...found];
    kept = survivors.map((tensor) => tensor.handle);
    return result;
  } finally {
    engine.closeScope(kept);
    if (survivors.length > 0 && engine.liveTensors().depth === 0) for (const tensor of survivors) watchForLeak(tensor);
  }
}

/** How many tensors the native table holds, their bytes (views counted in full) and how many scopes are open. */
export function liveTensors(): { tensors: number; bytes: number; depth: number } {
  return native().liveTensors();
}
