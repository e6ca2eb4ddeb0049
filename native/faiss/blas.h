// Threads of FAISS's work, and which BLAS answers it. FAISS's products are BLAS's: with the reference BLAS training and
// flat search are many times slower than with OpenBLAS or MKL, and nothing says so.
#pragma once

#include <omp.h>

// Present or not, by the BLAS that the process was given.
extern "C" {
void openblas_set_num_threads(int threads) __attribute__((weak));
int openblas_get_num_threads() __attribute__((weak));
int openblas_get_parallel() __attribute__((weak));
void MKL_Get_Version_String(char* text, int length) __attribute__((weak));
}

namespace tandem {

inline const char* blasName() {
  if (openblas_set_num_threads != nullptr) return "OpenBLAS";
  return MKL_Get_Version_String != nullptr ? "MKL" : "reference";
}

// The number of threads of everything that this thread starts, while it lives. OpenBLAS with threads of its own has one
// number for the whole process: it is put back.
class Threads {
 public:
  explicit Threads(int threads) {
    omp_set_num_threads(threads);
    if (openblas_get_parallel == nullptr || openblas_set_num_threads == nullptr || openblas_get_num_threads == nullptr)
      return;
    if (openblas_get_parallel() != 1) return;
    before_ = openblas_get_num_threads();
    openblas_set_num_threads(threads);
  }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  ~Threads() {
    if (before_ > 0) openblas_set_num_threads(before_);
  }

 private:
  int before_ = 0;
};

}  // namespace tandem
