/**
 * Runs asynchronous work on a stream, several items at a time, and hands the results out in the order of the items. Never more than `window` items
 * are taken ahead of the consumer, so a slow consumer holds the source back. The trap: a failed item surfaces in its turn, after the good ones
 * before it; the ones behind it are awaited and dropped.
 */

/** @throws whatever `work` or the source threw, once the results before it were consumed. */
export async function* orderedMap<Item, Result>(
  items: AsyncIterable<Item>,
  work: (item: Item) => Promise<Result>,
  window: number,
): AsyncGenerator<Result> {
  const running: Promise<Result>[] = [];
  try {
    for await (const item of items) {
      const promise = work(item);
      // Awaited in its turn; until then a rejection must not count as unhandled.
      promise.catch(() => undefined);
      running.push(promise);
      while (running.length >= window) yield await (running.shift() as Promise<Result>);
    }
    while (running.length > 0) yield await (running.shift() as Promise<Result>);
  } finally {
    await Promise.allSettled(running);
  }
}
