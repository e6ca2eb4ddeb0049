/** Texts of mixed length for the encoder benchmarks: the same at every run, words from a small list. */
const WORDS = "the river of a town was founded by people who built mills bridges and schools in the valley near an old road".split(" ");

export function mixedTexts(count: number): string[] {
  return Array.from({ length: count }, (_, i) =>
    Array.from({ length: 8 + ((i * 37) % 120) }, (_, j) => WORDS[(i * 31 + j * 17) % WORDS.length] ?? "").join(" "),
  );
}
