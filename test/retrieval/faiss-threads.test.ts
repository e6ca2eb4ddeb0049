/**
 * Proves that searches side by side leave OpenBLAS's one number of threads as they found it, however they overlap: native/faiss/blas.h compiled against an OpenBLAS that only counts, in a process of its own.
 * Alone: npx vitest run test/retrieval/faiss-threads.test.ts
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../storage/bad-input.js";

const compiler = process.env["CXX"] ?? "g++";
const hasCompiler = spawnSync(compiler, ["--version"]).status === 0;
const ROOT = path.join(import.meta.dirname, "../..");

const PROGRAM = `
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>
#include "blas.h"

static std::atomic<int> number{8};
static std::atomic<int> writers{0};
extern "C" {
void openblas_set_num_threads(int threads) {
  if (++writers > 1) { std::puts("two at once"); std::exit(3); }
  number = threads;
  --writers;
}
int openblas_get_num_threads() { return number; }
int openblas_get_parallel() { return 1; }
}
using tandem::Threads;

int main() {
  // The first to come leaves first.
  auto first = std::make_unique<Threads>(1);
  auto second = std::make_unique<Threads>(2);
  std::printf("both %d\\n", number.load());
  first.reset();
  std::printf("second %d\\n", number.load());
  second.reset();
  std::printf("none %d\\n", number.load());
  std::vector<std::thread> searches;
  for (int i = 0; i < 8; i++)
    searches.emplace_back([i] {
      for (int search = 0; search < 20000; search++) Threads scope(1 + (i + search) % 4);
    });
  for (std::thread& search : searches) search.join();
  std::printf("many %d\\n", number.load());
  { Threads scope(3); std::printf("one %d\\n", number.load()); }
  std::printf("end %d\\n", number.load());
}
`;

describe.skipIf(!hasCompiler)(`OpenBLAS's number of threads${hasCompiler ? "" : `: no ${compiler}`}`, () => {
  const folder = temporaryFolder();

  it("is the first search's while any goes on, and afterwards what it was", () => {
    const [source, program] = [path.join(folder, "threads.cc"), path.join(folder, "threads")];
    writeFileSync(source, PROGRAM);
    const words = ["-std=c++17", "-O1", "-fopenmp", "-pthread", `-I${path.join(ROOT, "native/faiss")}`, source, "-o", program];
    const compiled = spawnSync(compiler, words, { encoding: "utf8" });
    expect(compiled.status, compiled.stderr).toBe(0);
    const { status, stdout, stderr } = spawnSync(program, { encoding: "utf8", timeout: 60_000 });
    expect(status, stderr).toBe(0);
    expect(stdout).toBe("both 1\nsecond 1\nnone 8\nmany 8\none 3\nend 8\n");
  }, 120_000);
});
