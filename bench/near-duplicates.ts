/**
 * What finding near duplicates among 100,000 questions costs, in seconds of processor time: natural word frequencies, questions made from templates, and the worst case, few different words. No ratio: Python's
 * libraries estimate by MinHash, this is exact. Run: npx tsx bench/near-duplicates.ts [texts a side]
 */
import { nearDuplicates } from "../src/corpus/near-duplicates.js";
import { seededRandom } from "../src/corpus/seeded-random.js";

const random = seededRandom("near duplicates");
const below = (count: number): number => Math.floor(random() * count);
/** Frequencies as 1/rank among 60,000 words. */
const natural = (): string => `w${Math.floor(60_000 ** random())}`;
const words = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => `t${from + i}`);
const name = (): string => `n${below(1e9)}`;

const CASES: Readonly<Record<string, () => string[]>> = {
  "4 to 20 words as frequent as in a language": () => Array.from({ length: 4 + below(17) }, natural),
  "one template of 8 words with a name": () => [...words(0, 6), name(), ...words(6, 8)],
  "one template of 30 words with a name, all near": () => [...words(0, 15), name(), ...words(15, 30)],
  "one template of 20 words with two names": () => [...words(0, 7), name(), ...words(7, 14), name(), ...words(14, 20)],
  "20 templates of 12 words, two of 500 names": () => {
    const template = below(20);
    return words(0, 12).map((word, i) => (i === 4 || i === 9 ? `n${below(500)}` : `${template} ${word}`));
  },
  "10 of 30 words at random": () => Array.from({ length: 10 }, () => `w${below(30)}`),
};

const side = Number(process.argv[2] ?? 50_000);
for (const [what, make] of Object.entries(CASES)) {
  const [left, right] = [Array.from({ length: side }, make), Array.from({ length: side }, make)];
  const before = process.cpuUsage();
  const found = nearDuplicates(left, right, 0.8);
  const { user, system } = process.cpuUsage(before);
  console.log(`${what}: ${((user + system) / 1e6).toFixed(1)} s, ${found.length} pairs`);
}
