/**
 * The nearest right name to a wrong one, for error messages. The trap: a key is wrong in its last part far more often than in its section, so
 * sections are compared part by part and not as one string.
 */

/** Edit distance in which swapping two neighbours counts as one (optimal string alignment). */
export function editDistance(left: string, right: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const same = left[row - 1] === right[column - 1];
      const swapped = row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      const options = [cell(last, column) + 1, cell(current, column - 1) + 1, cell(last, column - 1) + (same ? 0 : 1)];
      if (swapped) options.push(cell(beforeLast, column - 2) + 1);
      current.push(Math.min(...options));
    }
    beforeLast = last;
    last = current;
  }
  return cell(last, right.length);
}

function cell(row: readonly number[], column: number): number {
  return row[column] ?? Infinity;
}

/** The nearest names, at most three: within a third of the word's length in edits, else those that hold the word or are held by it. */
export function nearestNames(wrong: string, names: readonly string[]): string[] {
  const near = withinEdits(wrong, names, Math.max(wrong.length > 1 ? 1 : 0, Math.floor(wrong.length / 3)));
  if (near.length > 0) return near;
  // batch_size for batch, ngram for ngram_repeat; shorter words hold and are held by chance.
  return names.filter((name) => Math.min(name.length, wrong.length) >= 4 && (name.includes(wrong) || wrong.includes(name))).slice(0, 3);
}

function withinEdits(wrong: string, names: readonly string[], reach: number): string[] {
  const scored = names.map((name) => ({ name, distance: editDistance(wrong.toLowerCase(), name.toLowerCase()) }));
  const best = Math.min(reach, ...scored.map(({ distance }) => distance));
  return scored
    .filter(({ distance }) => distance === best)
    .map(({ name }) => name)
    .slice(0, 3);
}

/**
 * The nearest right keys to a dotted one: a sibling with a similar last part; else the same or a similar last part in the same top section, then
 * anywhere; else the whole key's nearest. The one that is nearest as a whole comes first.
 */
export function nearestKeys(wrong: string, keys: readonly string[]): string[] {
  const last = lastPart(wrong);
  const parent = wrong.slice(0, -last.length);
  const top = wrong.split(".")[0] ?? "";
  const pools = [
    keys.filter((key) => key.startsWith(parent) && !key.slice(parent.length).includes(".")),
    keys.filter((key) => key.startsWith(`${top}.`)),
    keys,
  ];
  for (const pool of pools) {
    const near = new Set(nearestNames(last, [...new Set(pool.map(lastPart))]));
    const found = pool.filter((key) => near.has(lastPart(key)));
    if (found.length > 0) return closestFirst(wrong, found).slice(0, 3);
  }
  return withinEdits(wrong, keys, Math.floor(wrong.length / 5));
}

/** Only keys as deep as the wrong one can be told apart by their sections; the others keep their order. */
function closestFirst(wrong: string, keys: readonly string[]): string[] {
  const depth = (key: string): number => key.split(".").length;
  return keys
    .map((key) => ({ key, distance: depth(key) === depth(wrong) ? editDistance(wrong, key) : Number.MAX_SAFE_INTEGER }))
    .sort((left, right) => left.distance - right.distance)
    .map(({ key }) => key);
}

function lastPart(key: string): string {
  return key.slice(key.lastIndexOf(".") + 1);
}

/** `did you mean a or b?`, or the fallback where nothing is near. */
export function didYouMean(names: readonly string[], fallback: string): string {
  return names.length === 0 ? fallback : `did you mean ${names.join(" or ")}?`;
}
